/** What a device knows about itself: the facts that audiences and parameters may name. */
export interface DeviceFacts {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}
