/**
 * Every limit of the protocol, and what it protects. Sizes are bytes unless said otherwise.
 * They are part of the protocol: a peer that exceeds one is cut off.
 */

/** A frame's body before the peer has proven who it is. Bounds what a stranger makes us hold. */
export const MAX_GREETING = 128;

/** A control frame's body afterwards. Bounds what a peer makes us hold and parse at once. */
export const MAX_CONTROL = 64 * 1024;

/** The bytes of one chunk. Large enough for speed, small enough to share a wire. */
export const MAX_CHUNK = 256 * 1024;

/** A name as it is offered. Longer ones exist nowhere: 255 UTF-16 units are 765 bytes. */
export const MAX_NAME = 1024;

/** A path as it is offered. POSIX systems take no longer one. */
export const MAX_PATH = 4096;

/** Names in one path. Deep trees are honest; a thousand levels are an attack on recursion. */
export const MAX_DEPTH = 128;

/** Roots of one transfer, and the UTF-16 units of their names together. They are held all the time. */
export const MAX_ROOTS = 10_000;
export const MAX_ROOT_UNITS = 1024 * 1024;

/** Entries in one offer. Bounds the work between two looks at the clock. */
export const MAX_BATCH = 256;

/** Entries offered and not yet settled. Bounds both sides' memory, whatever is sent. */
export const MAX_OPEN_ENTRIES = 8192;

/** What a link points to. POSIX systems take no longer one. */
export const MAX_TARGET = 4096;

/** A device's name as it introduces itself; what DNS-SD allows for an instance (RFC 6763, 4.1.1). */
export const MAX_DEVICE_NAME = 63;
