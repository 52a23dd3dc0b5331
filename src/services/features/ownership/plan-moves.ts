/** A state partition as the table of owners has it. */
export interface PartitionRow {
  readonly partition: number;
  /** Rises with each change of owner. */
  readonly epoch: number;
  /** Name of the replica that owns it or owned it last; null after a release. */
  readonly replica: string | null;
  readonly instance: string | null;
  /** Whether the owner's lease is live. */
  readonly live: boolean;
  /** Instance that gets ready to take it over; null when there is none whose own lease is live. */
  readonly taker: string | null;
  /** Whether the taker could answer for it now. */
  readonly takerReady: boolean;
}

/** What a replica does about the state partitions. */
export interface Moves {
  /** Free ones, to own at once. */
  readonly claim: readonly number[];
  /** Others' that it gets ready for, to be handed over then. */
  readonly reserve: readonly number[];
  /** Reservations that would be too many by now. */
  readonly cancel: readonly number[];
}

export interface Situation {
  readonly rows: readonly PartitionRow[];
  /** This process. */
  readonly instance: string;
  /** Instances whose lease is live, this one included. */
  readonly members: ReadonlySet<string>;
  /** Whether it may take what others answer for: only once it would answer as well as they do. */
  readonly mayReserve: boolean;
}

/**
 * Decides what a replica claims and reserves so that in the end no two members differ by more than one partition. Each member
 * decides by itself; what two want alike, the table gives to one. A load is what a member owns and is about to get, less
 * what others are about to take from it.
 */
export function planMoves({ rows, instance, members, mayReserve }: Situation): Moves {
  // Whoever let a lease run out is dead or paused, whatever its own announcement says.
  const silent = new Set(rows.filter((row) => !row.live).map((row) => row.instance));
  const counted = [...members].filter((member) => member === instance || !silent.has(member));
  const share = Math.ceil(rows.length / counted.length);
  const loads = new Map(counted.map((member) => [member, 0]));
  const add = (member: string | null, amount: number): void => {
    if (member !== null && loads.has(member)) loads.set(member, (loads.get(member) ?? 0) + amount);
  };
  const holderOf = (row: PartitionRow): string | null => row.taker ?? (row.live ? row.instance : null);
  for (const row of rows) add(holderOf(row), 1);
  const load = (): number => loads.get(instance) ?? 0;

  const reserved = rows.filter((row) => row.taker === instance && !(row.live && row.instance === instance));
  const claim = reserved.filter((row) => !row.live).map((row) => row.partition);
  for (const row of rows) {
    if (row.live || row.taker !== null || load() >= share) continue;
    claim.push(row.partition);
    add(instance, 1);
  }
  const cancel: number[] = [];
  for (const row of reserved.toReversed()) {
    if (load() <= share || !row.live) continue;
    cancel.push(row.partition);
    add(instance, -1);
  }
  const reserve: number[] = [];
  if (!mayReserve) return { claim, reserve, cancel };
  for (const row of rows) {
    // From those that leave first; of the others, from whoever has at least two more.
    if (!row.live || row.taker !== null || row.instance === instance) continue;
    const leaves = row.instance !== null && !loads.has(row.instance);
    const more = (loads.get(row.instance ?? '') ?? 0) - load();
    if (leaves ? load() >= share : more < 2) continue;
    reserve.push(row.partition);
    add(row.instance, -1);
    add(instance, 1);
  }
  return { claim, reserve, cancel };
}
