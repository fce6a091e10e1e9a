/**
 * `policy.windows` of a channel in fleet.yaml: when devices may bring a change into force. Days and
 * zones are checked here, so that nobody signs a window that no device can open.
 */
import { isTimeZone } from '#plan/window.ts';
import { windowsSchema } from '#wire/window-schema.ts';

export const maintenanceWindows = windowsSchema(isTimeZone);
