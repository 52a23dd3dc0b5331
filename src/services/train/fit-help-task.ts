// Not the whole of it: a thread would load all trainers.
export { helpTrees as help } from '../../ml/gbdt/crew/help-trees.ts';
