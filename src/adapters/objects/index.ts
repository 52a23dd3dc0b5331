export { directoryObjects } from './directory.ts';
