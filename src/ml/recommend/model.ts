import type { AlsModel } from './als.ts';
import { scoreAls } from './als.ts';
import type { EaseModel } from './ease.ts';
import { scoreEase } from './ease.ts';
import type { UserItems } from './interactions.ts';
import { checkUserItems } from './interactions.ts';
import type { ItemKnnModel } from './item-knn.ts';
import { scoreItemKnn } from './item-knn.ts';
import type { MostPopularModel } from './most-popular.ts';

/** A model that scores all items from those of a user. */
export type RecommendationModel = MostPopularModel | EaseModel | ItemKnnModel | AlsModel;

/** Items that a model knows. */
export function itemCountOf(model: RecommendationModel): number {
  switch (model.kind) {
    case 'most-popular':
      return model.popularity.length;
    case 'als':
      return model.items.length / model.factors;
    case 'ease':
    case 'item-knn':
      return model.itemCount;
  }
}

/**
 * A score for each item, the user's own included; higher means more likely wanted. The user need not be known:
 * the items say it all.
 *
 * @throws RangeError on items that the model does not know, that do not ascend, or have unsound weights.
 */
export function itemScores(model: RecommendationModel, given: UserItems): Float64Array {
  checkUserItems(given, itemCountOf(model));
  switch (model.kind) {
    case 'most-popular':
      return model.popularity.slice();
    case 'ease':
      return scoreEase(model, given);
    case 'item-knn':
      return scoreItemKnn(model, given);
    case 'als':
      return scoreAls(model, given);
  }
}
