/**
 * Whether it is worth it to pack blocks on their way, and by which quality: as long as more bytes
 * of files arrive in the same time. That depends on what is in them, on the codec, on what else
 * this computer does, and on the network; so all of it is measured, and all of it may change.
 *
 * The network is measured while nothing is packed, and while it is the network that is waited
 * for. A block that is packed by way of trial tells the rest. Then blocks are packed, and what
 * comes of that is compared with what was before: the other side may be slow at unpacking.
 *
 * It has no clock: times are milliseconds of one that never goes back. Rates are bytes per
 * millisecond.
 */
export class Worth {
  readonly #always: boolean;
  /** What is known of large blocks, and of small ones, for which beginning is most of the work. */
  readonly #large: Kind;
  readonly #small: Kind;
  /** Whether blocks are packed now, and by which quality. */
  #packs: boolean;
  #quality = 0;
  /** One block is packed by this, to learn what comes of it. */
  #tries: number | undefined;
  /** How fast it went when nothing was packed; undefined where it was not the network that held it. */
  #plain: number | undefined;
  /** The last laps, all with or all without packing. */
  readonly #laps: LapSum[] = [];
  /** Whether that is sure enough to decide by. */
  #isSure = false;
  /** Whether packing was in vain a while ago, and nothing has changed since. */
  #isVain = false;
  #lap: Lap | undefined;
  #wentAt = 0;
  /** Whether something was waited for so long that all buffers must be full. */
  #isFull = false;
  /** Blocks that tell nothing, as they were on their way before the last change. */
  #settling = 0;
  /** What was tried in vain, until when it is not tried again, and how long the next such while is. */
  #vain = { at: 0, until: 0, pause: FIRST_PAUSE };
  /** When it was last seen how fast it goes without, and when neighbours were last tried. */
  #seenAt = 0;
  #triedAt = 0;
  /** Blocks of this file in a row that could not be packed, and how many are not tried now. */
  #dull = 0;
  #spared = 0;

  /** `qualities`: how many there are. `always`: only they are chosen. */
  constructor(qualities: number, { always = false } = {}) {
    this.#always = always;
    this.#packs = always;
    this.#quality = always ? Math.min(1, qualities - 1) : 0;
    this.#large = new Kind(qualities);
    this.#small = new Kind(1);
  }

  /** Another file begins, of which nothing is known. */
  anew(): void {
    this.#dull = 0;
    this.#spared = 0;
    this.#large.unseen = true;
  }

  /** By which quality the next block is packed, of so many bytes; undefined if it goes as it is. */
  choose(size: number): number | undefined {
    const small = size <= SMALL;
    const kind = small ? this.#small : this.#large;
    if (this.#always) return small ? 0 : this.#try();
    if (this.#spared > 0) {
      this.#spared -= 1;
      return undefined;
    }
    if (this.#packs && (small ? this.#pays(kind, 0) !== false : true))
      return small ? 0 : this.#try();
    return this.#isDue(kind) ? kind.try(this.#wentAt) : undefined;
  }

  /** Whether the next block of so many bytes may be one to pack. */
  mayChoose(size: number): boolean {
    const kind = size <= SMALL ? this.#small : this.#large;
    if (this.#always || this.#isDue(kind)) return true;
    return this.#packs && (kind === this.#large || this.#pays(kind, 0) !== false);
  }

  /** A block of so many bytes became so many. Returns whether it is worth unpacking. */
  packed(quality: number, size: number, packed: number, took: Took): boolean {
    const kind = size <= SMALL ? this.#small : this.#large;
    if (packed > size * DULL) {
      this.#dull += 1;
      if (this.#dull > 1 && !this.#always) this.#spared = Math.min(2 ** this.#dull, MOST_SPARED);
      return false;
    }
    this.#dull = 0;
    // Of one that is tried among others, it cannot be told what it takes from them.
    const isTried = !this.#packs || (kind === this.#large && quality !== this.#quality);
    kind.learn(quality, size / packed, (isTried ? took.ms : took.since) / size, isTried);
    if (this.#isSure && !this.#packs) this.#decide();
    return true;
  }

  /**
   * So many bytes of files are on their way, which took so many of the wire; for the last of it we
   * waited so long.
   */
  went(bytes: number, wire: number, waited: number, now: number): void {
    // Where there was nothing to send for a while, that is nobody's fault.
    if (now - waited - this.#wentAt > IDLE) this.#lap = undefined;
    this.#wentAt = now;
    // What went before this went into buffers, and says nothing about a network that is slow.
    if (!this.#isFull && waited >= FULL) {
      this.#isFull = true;
      this.#lap = undefined;
      return;
    }
    if (this.#settling > 0) {
      if (bytes > 0) this.#settling -= 1;
      this.#lap = undefined;
      return;
    }
    this.#lap ??= { began: now - waited, bytes: 0, packed: 0, wire: 0, waited: 0, blocks: 0 };
    const lap = this.#lap;
    lap.bytes += bytes;
    lap.wire += wire;
    if (wire < bytes) lap.packed += bytes;
    lap.waited += waited;
    lap.blocks += 1;
    const ms = now - lap.began;
    if (ms < LAP || (lap.blocks < LAP_BLOCKS && ms < LONG_LAP)) return;
    this.#lap = undefined;
    if (this.#packs) this.#judge(lap, ms, now);
    else this.#measure(lap, ms, now);
  }

  /** Nothing is packed: how fast does it go? */
  #measure(lap: Lap, ms: number, now: number): void {
    const isHeld = isSlow(add(this.#laps, { bytes: lap.bytes, waited: lap.waited, ms }));
    const rate = rateOf(this.#laps);
    this.#plain = isHeld ? rate : undefined;
    this.#seenAt = now;
    this.#isVain = now < this.#vain.until && rate > FALLEN * this.#vain.at;
    this.#isSure = (this.#laps.length >= FEW_LAPS || rate < SLOW) && !this.#isVain;
    if (this.#isSure) this.#decide();
  }

  #decide(): void {
    if (!this.#pays(this.#large, 0) && !this.#pays(this.#small, 0)) return;
    this.#packs = true;
    this.#settling = SETTLING;
    this.#laps.length = 0;
  }

  /** Blocks are packed: does it pay? And would another quality be better? */
  #judge(lap: Lap, ms: number, now: number): void {
    // Most of this could not be packed, so it tells nothing about packing.
    if (lap.packed < lap.bytes / 2) return;
    const isHeld = lap.waited / ms >= HELD;
    const wire = lap.wire / ms;
    if (!this.#always && this.#plain !== undefined) {
      add(this.#laps, { bytes: lap.bytes, waited: lap.waited, ms });
      const gain = rateOf(this.#laps) / this.#plain;
      const laps = this.#laps.length;
      if (gain < (laps < FEW_LAPS ? HOPELESS : 1) && laps > 1) return void this.#giveUp(now);
      // It is the codec that holds it, so nobody knows any more what the network could take.
      const pause = gain < CLEAR ? LOOK_SOON : LOOK_AGAIN;
      if (!isHeld && now - this.#seenAt > pause) return void this.#end();
    }
    const most = Math.max(wire, this.#plain ?? Number.POSITIVE_INFINITY);
    this.#compare(isHeld ? wire : most, isHeld, now);
  }

  /** Looks for a better quality: a higher one where the network holds it, else a lower one. */
  #compare(link: number, isHeld: boolean, now: number): void {
    const kind = this.#large;
    const other = this.#quality + (isHeld ? 1 : -1);
    const known = kind.of(this.#quality);
    if (known === undefined || other < 0 || other >= kind.qualities) return;
    const expected = kind.of(other);
    if (expected === undefined || now - this.#triedAt > TRY_AGAIN) {
      this.#triedAt = now;
      this.#tries = other;
    } else if (this.#speed(expected, link) > this.#speed(known, link) * BETTER) {
      this.#quality = other;
    }
  }

  /** Goes on without, to see how fast that is. */
  #end(): void {
    this.#packs = false;
    this.#quality = 0;
    this.#settling = SETTLING;
    this.#plain = undefined;
    this.#laps.length = 0;
    this.#isFull = false;
    this.#isSure = false;
  }

  #giveUp(now: number): void {
    const { pause, until } = this.#vain;
    // What went well for long is no longer in vain.
    const next = now - until > FORGIVEN ? FIRST_PAUSE : pause;
    this.#vain = {
      at: this.#plain ?? 0,
      until: now + next,
      pause: Math.min(2 * next, LONGEST_PAUSE),
    };
    this.#end();
  }

  /** Whether a block is to be packed by way of trial: now and then, and where a file begins. */
  #isDue(kind: Kind): boolean {
    if (this.#plain === undefined || this.#plain > FAST || this.#isVain) return false;
    if (kind.trial > 0 || this.#wentAt >= kind.next) return true;
    // Where even what packs well does not pay, there is no need to look at each file.
    return kind.unseen && this.#pays(kind, 0) !== false;
  }

  /** Whether it pays to pack such blocks; undefined if that is not known. */
  #pays(kind: Kind, quality: number): boolean | undefined {
    const known = kind.of(quality);
    if (known === undefined || this.#plain === undefined) return undefined;
    return this.#speed(known, this.#plain) > MARGIN * this.#plain;
  }

  /** What is to be expected over a link that is so fast. */
  #speed({ cost, ratio }: Known, link: number): number {
    return Math.min(1 / cost, link * ratio);
  }

  #try(): number {
    const quality = this.#tries ?? this.#quality;
    this.#tries = undefined;
    return quality;
  }
}

/** What packing a block has taken, in milliseconds. */
export interface Took {
  readonly ms: number;
  /** The same, but not what others took at the same time: since the last of these was done. */
  readonly since: number;
}

/** What is known of blocks of one kind. */
class Kind {
  readonly qualities: number;
  /** When the next trial is due, and how long it is to the one after that. */
  next = 0;
  #pause = FIRST_TRIAL;
  /** Whether there was no trial in this file. */
  unseen = true;
  /** Blocks of this trial that are still to come. */
  trial = 0;
  readonly #known: Known[] = [];

  constructor(qualities: number) {
    this.qualities = qualities;
  }

  of(quality: number): Known | undefined {
    return this.#known[quality];
  }

  /** `tried`: of a few that are tried the best counts, as each may have been held up by others. */
  learn(quality: number, ratio: number, cost: number, tried: boolean): void {
    const before = this.#known[quality] ?? { ratio, cost };
    const known = { ratio: mean(before.ratio, ratio), cost: mean(before.cost, cost) };
    if (tried) known.cost = Math.min(cost, before.cost * AGED);
    this.#known[quality] = known;
  }

  /** A block is packed by way of trial, by the lowest quality. */
  try(now: number): number {
    if (this.trial > 0) {
      this.trial -= 1;
      return 0;
    }
    this.trial = TRIAL - 1;
    this.unseen = false;
    this.next = now + this.#pause;
    this.#pause = Math.min(2 * this.#pause, LAST_TRIAL);
    return 0;
  }
}

/** What packing has shown. */
interface Known {
  /** Bytes that one byte stands for. */
  readonly ratio: number;
  /** Milliseconds for each byte that is packed. */
  readonly cost: number;
}

/** A stretch of time over which is measured. */
interface Lap {
  readonly began: number;
  bytes: number;
  /** How many of these were packed. */
  packed: number;
  wire: number;
  /** Milliseconds. */
  waited: number;
  blocks: number;
}

/** What remains of a lap. */
interface LapSum {
  readonly bytes: number;
  /** Milliseconds in which the network was waited for, and all. */
  readonly waited: number;
  readonly ms: number;
}

/** One lap tells little, as what goes into buffers goes in gusts. */
function add(laps: LapSum[], lap: LapSum): LapSum[] {
  laps.push(lap);
  if (laps.length > LAPS) laps.shift();
  return laps;
}

function rateOf(laps: readonly LapSum[]): number {
  return sumOf(laps, ({ bytes }) => bytes) / sumOf(laps, ({ ms }) => ms);
}

/** Whether it is the network that holds it. */
function isSlow(laps: readonly LapSum[]): boolean {
  return sumOf(laps, ({ waited }) => waited) >= HELD * sumOf(laps, ({ ms }) => ms);
}

function sumOf(laps: readonly LapSum[], pick: (lap: LapSum) => number): number {
  return laps.reduce((sum, lap) => sum + pick(lap), 0);
}

function mean(before: number, now: number): number {
  return before + (now - before) / 4;
}

/** Bytes. Blocks up to here are packed at once, and others beside what else is done. */
const SMALL = 16 * 1024;

/** Milliseconds from the first trial to the second; each time it takes twice as long, up to a limit. */
const FIRST_TRIAL = 250;
const LAST_TRIAL = 4_000;

/** Blocks of one trial. */
const TRIAL = 2;

/** How long a lap is, in milliseconds and blocks; where blocks take long, fewer will do. */
const LAP = 50;
const LAP_BLOCKS = 4;
const LONG_LAP = 150;

/** Twice as many as are on their way at once. */
const SETTLING = 6;

/** Milliseconds for which nobody waits as long as there is room in some buffer. */
const FULL = 5;

/** Milliseconds in which nothing went, though nothing held it. */
const IDLE = 200;

/** The part of a lap that is waited for the network, if it is that which holds us. */
const HELD = 0.3;

/** How many laps tell how fast it goes, and how many of them are enough to begin or to end packing. */
const LAPS = 6;
const FEW_LAPS = 4;

/** Slower than each codec; it need not be known exactly. */
const SLOW = 40_000;

/** Faster than any codec packs what is worth it: it need not even be tried. */
const FAST = 450_000;

/** What packing must promise, to be begun: it takes time from all else that this computer does. */
const MARGIN = 1.3;

/** Where it is as bad as that, two laps are enough to see it. */
const HOPELESS = 0.8;

/** A gain that cannot be a mistake. */
const CLEAR = 1.5;

/** What another quality must promise. */
const BETTER = 1.05;

/** What does not get smaller than this is not worth to be unpacked. */
const DULL = 0.95;

/** Blocks that are not tried after others that could not be packed. */
const MOST_SPARED = 64;

/** Milliseconds for which it is not tried again what was in vain, unless the network gets slower. */
const FIRST_PAUSE = 4_000;
const LONGEST_PAUSE = 60_000;
const FORGIVEN = 30_000;
const FALLEN = 0.7;

/** Milliseconds after which what was measured is measured again. */
const LOOK_AGAIN = 10_000;
const LOOK_SOON = 2_000;
const TRY_AGAIN = 1_000;

/** How much less a trial counts that is followed by another. */
const AGED = 1.2;
