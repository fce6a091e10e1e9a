/** The steps of one change. Pure data: `plan/` makes them, `apply/` does them. */
import type { Generation } from '#state/generation.ts';

export type Step =
  | { readonly kind: 'remove'; readonly previous: Generation }
  | { readonly kind: 'activate'; readonly next: Generation; readonly previous: Generation | null };
