import type { ExplainableTrees } from '../explain/explainable-trees.ts';
import type { ExplainableLinear } from '../explain/linear-shap.ts';

/** What the margin of a form with one answer is made of. */
export type MarginForm =
  | { readonly kind: 'linear'; readonly model: ExplainableLinear }
  /** Unpacked when somebody asks: few models are explained. */
  | { readonly kind: 'trees'; readonly unpack: () => ExplainableTrees }
  | { readonly kind: 'unknown'; readonly reason: string };
