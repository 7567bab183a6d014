/** How far something has come that is brought to a page, or from there. */
export interface Amounts {
  /** Bytes of the whole, kept ones included; `total` null as long as nobody knows. */
  readonly bytes: number;
  readonly total: number | null;
  readonly files: number;
  readonly ofFiles: number | null;
  /** The file that is on its way now. */
  readonly file: string;
  /** Bytes a second; and milliseconds until the end, null if nobody can tell. */
  readonly rate: number;
  readonly left: number | null;
  /** Bytes that were there from before when it began, or went on. */
  readonly resumed: number;
}
