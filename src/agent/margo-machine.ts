/**
 * What this machine is, as Margo asks for it (MARGO.md section 6): from /proc, /sys and the disk, with
 * what the owner wrote in `margo.properties` in its place. Only what is given to Margo is told.
 */
import type { Files } from '#platform/files.ts';
import type { MargoCapabilities } from '#state/margo.ts';
import type { MargoConfig } from './margo-config.ts';

export interface Machine {
  readonly files: Pick<Files, 'open' | 'readFile'>;
  /** bytes free where states are kept; null: not known */
  freeBytes(): number | null;
}

const TEXT_MAX = 1024 * 1024;
const MIB = 1024 * 1024;
/** ARM and x86 as Linux calls them, as Margo does */
const ARCHITECTURES: readonly (readonly [RegExp, string])[] = [
  [/^(?:x86_64|amd64)/, 'amd64'],
  [/^(?:aarch64|arm64)/, 'arm64'],
  [/^arm/, 'arm'],
];

/** @param packaged  profiles of containers that this device offers: helm, compose */
export function margoCapabilities(
  machine: Machine,
  { properties, labels }: Pick<MargoConfig, 'properties' | 'labels'>,
  id: string,
  packaged: readonly string[] = [],
): MargoCapabilities {
  const { files } = machine;
  const firmware = (name: string) => firstLine(files, `/sys/class/dmi/id/${name}`);
  const model = firstLine(files, '/proc/device-tree/model');
  const free = machine.freeBytes();
  return {
    properties: {
      id,
      vendor: firmware('sys_vendor') ?? 'unknown',
      modelNumber: firmware('product_name') ?? model ?? 'unknown',
      serialNumber:
        firstLine(files, '/proc/device-tree/serial-number') ?? firmware('product_serial') ?? id,
      cpus: [cpu(files)],
      memory: memory(files),
      // Rounded to GiB: a number that moves with every download would be told at every look.
      storage: `${Math.max(1, Math.round((free ?? 0) / (1024 * MIB)))}Gi`,
      peripherals: peripherals(files),
      interfaces: interfaces(files),
      otelCollector: true,
      supportedRuntimes: packaged.length > 0 ? ['oci', 'custom'] : ['custom'],
      supportedDeploymentTypes: [...packaged, 'custom'],
      ...properties,
    },
    labels: { 'holdfast.files': true, 'holdfast.process': true, ...labels },
  };
}

function cpu(files: Machine['files']) {
  const info = textOf(files, '/proc/cpuinfo');
  const cores = Math.max(1, info.match(/^processor\s*:/gm)?.length ?? 0);
  const arch = firstLine(files, '/proc/sys/kernel/arch') ?? guessed(info);
  const architecture = ARCHITECTURES.find(([form]) => form.test(arch))?.[1];
  return { cores, ...(architecture !== undefined && { architecture }) };
}

/** Kernels before 6.1 do not say it by name. */
function guessed(info: string): string {
  if (/^flags\s*:.*\blm\b/m.test(info)) return 'x86_64';
  if (/^CPU architecture:\s*8/m.test(info)) return 'aarch64';
  return /^CPU architecture:/m.test(info) ? 'arm' : '';
}

function memory(files: Machine['files']): string {
  const kib = Number(/^MemTotal:\s*(\d+) kB/m.exec(textOf(files, '/proc/meminfo'))?.[1] ?? 0);
  return `${Math.max(1, Math.round(kib / 1024))}Mi`;
}

function interfaces(files: Machine['files']): readonly { readonly type: string }[] {
  const types = namesIn(files, '/sys/class/net').flatMap((name) => {
    if (/^(?:eth|en)/.test(name)) return ['ethernet'];
    if (/^wl/.test(name)) return ['wifi'];
    if (/^ww/.test(name)) return ['cellular'];
    return /^v?can\d/.test(name) ? ['canbus'] : [];
  });
  const serial = namesIn(files, '/sys/class/tty').some((name) => /^tty(?:S|USB|AMA)\d/.test(name));
  const all = serial ? [...types, 'rs232'] : types;
  return [...new Set(all)].sort().map((type) => ({ type }));
}

function peripherals(files: Machine['files']): readonly { readonly type: string }[] {
  const found = [
    ['camera', namesIn(files, '/sys/class/video4linux').length > 0],
    ['gpu', namesIn(files, '/sys/class/drm').some((name) => /^renderD\d/.test(name))],
  ] as const;
  return found.filter(([, there]) => there).map(([type]) => ({ type }));
}

function namesIn(files: Machine['files'], path: string): readonly string[] {
  const directory = files.open(path, { follow: true });
  if (!directory.ok) return [];
  const names = directory.value.list();
  directory.value.close();
  return names.ok ? names.value : [];
}

function textOf(files: Machine['files'], path: string): string {
  const bytes = files.readFile(path, TEXT_MAX);
  return bytes.ok ? Buffer.from(bytes.value).toString('latin1') : '';
}

/** Null: not there, empty, or for root's eyes. */
function firstLine(files: Machine['files'], path: string): string | null {
  const line =
    textOf(files, path)
      .split(/[\n\0]/, 1)[0]
      ?.trim() ?? '';
  return line === '' ? null : line.slice(0, 255);
}
