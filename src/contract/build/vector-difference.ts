import type { BuildContract } from './description.ts';

type AppContract = BuildContract['app'];

/** What is different about a vector in `other`, in words; empty when nothing is known of the groups in one of them. */
export function vectorDifferences(name: string, known: AppContract, other: AppContract): string[] {
  const [uses, others] = [known.uses?.[name], other.uses?.[name]];
  if (uses === undefined || others === undefined) return [];
  const texts = uses.flatMap(({ group, features }) => {
    const theirs = others.find((use) => use.group === group);
    const [before, after] = [known.groups?.[group], other.groups?.[group]];
    if (theirs === undefined || before === undefined || after === undefined)
      return [`group '${group}' is not in it any more`];
    if (before.shape !== after.shape)
      return [`group '${group}' has another key, source, filter or way to cut windows`];
    return [
      ...features.flatMap((feature) => {
        if (after.features[feature] === undefined)
          return [`feature '${feature}' of group '${group}' is gone`];
        if (after.features[feature] !== before.features[feature])
          return [`feature '${feature}' of group '${group}' is computed in another way`];
        return theirs.features.includes(feature)
          ? []
          : [`feature '${feature}' of group '${group}' is not in it any more`];
      }),
      ...theirs.features
        .filter((feature) => !features.includes(feature))
        .map((feature) => `feature '${feature}' of group '${group}' is added: pick() the ones it had`),
    ];
  });
  const added = others.filter(({ group }) => !uses.some((use) => use.group === group));
  texts.push(...added.map(({ group }) => `group '${group}' is added`));
  return texts.length > 0 ? texts : ['its candidate, its expressions or the order of its values changed'];
}

/** What of an app goes by a vector: its models, the decisions that they answer, and recommendations. */
export function dependents(vector: string, app: AppContract): string {
  const models = Object.keys(app.models).filter((name) => app.models[name]?.vector === vector);
  const decisions = Object.keys(app.decisions).filter((name) =>
    models.includes(app.decisions[name]?.model ?? ''),
  );
  const recommendations = Object.entries(app.recommendations ?? {})
    .filter(([, { history, ranking }]) => history === vector || ranking === vector)
    .map(([name]) => name);
  const list = (what: string, names: readonly string[]): string[] =>
    names.length === 0
      ? []
      : [`${what}${names.length === 1 ? '' : 's'} ${names.map((name) => `'${name}'`).join(', ')}`];
  return [
    ...list('model', models),
    ...list('decision', decisions),
    ...list('recommendation', recommendations),
  ].join(' and ');
}
