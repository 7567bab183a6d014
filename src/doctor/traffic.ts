/** What must get through a firewall here: connections that come in, and multicast both ways. */
export type Traffic = 'tcp-in' | 'multicast-in' | 'multicast-out';

/** What the rules say of it. */
export type Verdict =
  | { readonly says: 'accept' | 'unknown' }
  /** `where` is what stops it, `fix` the command that lets it through. */
  | { readonly says: 'drop'; readonly where: string; readonly fix: string };

/** The firewalls of this computer, as far as it can be known. */
export interface Firewalls {
  /** Those that are on: `ufw`, `nftables`. */
  readonly names: readonly string[];
  /** Whether the rules of all of them are understood. */
  readonly readable: boolean;
  readonly verdicts: Readonly<Record<Traffic, Verdict>>;
  /** How it is let through by the firewall that is on, whatever its rules are; if that is known. */
  fixFor(traffic: Traffic): string | undefined;
}

export const NOTHING_KNOWN: Firewalls = {
  names: [],
  readable: false,
  verdicts: {
    'tcp-in': { says: 'unknown' },
    'multicast-in': { says: 'unknown' },
    'multicast-out': { says: 'unknown' },
  },
  fixFor: () => undefined,
};
