import { type Book, openBook } from '../disk/book.ts';
import { defaultHome, defaultName, openHome } from '../disk/home.ts';
import { type Identity, loadIdentity } from '../disk/identity.ts';
import { openTrustStore, type TrustStore } from '../disk/trust.ts';
import { deviceName } from '../protocol/names.ts';

/** What each function of the library can be told. */
export interface CommonOptions {
  /** Ends it, cleanly: what has an end to wait for throws the signal's reason then. */
  readonly signal?: AbortSignal | undefined;
  /** Where identity and trust store lie; by default the platform's folder for such data. */
  readonly home?: string | undefined;
  /** The only network interfaces to use, if any are named. */
  readonly interfaces?: readonly string[] | undefined;
}

/** What each function that looks for devices can be told. */
export interface LookOptions extends CommonOptions {
  /** Whether to try every address of our own networks, too; for where multicast is blocked. */
  readonly scan?: boolean | undefined;
}

/** Who we are and whom we know. */
export interface Self {
  /** The folder where all that is kept of it lies. */
  readonly home: string;
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly book: Book;
  /** What others see us as. */
  readonly name: string;
}

export async function openSelf({
  home = defaultHome(),
  name = defaultName(),
}: {
  home?: string | undefined;
  name?: string | undefined;
}): Promise<Self> {
  await openHome(home);
  return {
    home,
    identity: await loadIdentity(home),
    trust: await openTrustStore(home),
    book: await openBook(home),
    name: deviceName(name) || 'drop',
  };
}
