export { processCommands, type ProcessCommandsOptions } from './commands.ts';
export { TRAINER_FILE_LIMITS, trainerFileDigests } from './trainer-files.ts';
