/**
 * Every limit on what others may take of this computer and of the person at it, and what it
 * protects. Sizes are bytes and times milliseconds unless said otherwise. docs/SECURITY.md and
 * docs/PROTOCOL.md hold the same numbers in tables, which a test compares.
 */

// On the wire. These are part of the protocol: a peer that exceeds one is cut off.

/** A frame's body before the peer has proven who it is. Bounds what a stranger makes us hold. */
export const MAX_GREETING = 128;

/** A control frame's body afterwards. Bounds what a peer makes us hold and parse at once. */
export const MAX_CONTROL = 64 * 1024;

/** The bytes of one chunk. Large enough for speed, small enough to share a wire. */
export const MAX_CHUNK = 256 * 1024;

/** A file that goes as a whole, in a frame with others. Bounds what is read and written at once. */
export const MAX_WHOLE = 64 * 1024;

/** A message to the person there. Bounds what is held and shown at once; it goes as a whole. */
export const MAX_TEXT = 64 * 1024;

/** The packed bytes of one, which are fewer than what they unpack to. */
export const MAX_PACKED = 256 * 1024;

/** Codecs that a receiver names. More than anybody has; bounds what is looked through. */
export const MAX_CODECS = 16;

/** A name as it is offered. Longer ones exist nowhere: 255 UTF-16 units are 765 bytes. */
export const MAX_NAME = 1024;

/** A path as it is offered. POSIX systems take no longer one. */
export const MAX_PATH = 4096;

/** Names in one path. Deep trees are honest; a thousand levels are an attack on recursion. */
export const MAX_DEPTH = 128;

/** Roots of one transfer, and the UTF-16 units of their names together. They are held all the time. */
export const MAX_ROOTS = 10_000;
export const MAX_ROOT_UNITS = 1024 * 1024;

/** Entries in one offer, and files in one frame. Bounds the work between two looks at the clock. */
export const MAX_BATCH = 256;

/** Entries offered and not yet settled. Bounds both sides' memory, whatever is sent. */
export const MAX_OPEN_ENTRIES = 8192;

/** What a link points to. POSIX systems take no longer one. */
export const MAX_TARGET = 4096;

/** Digests that a sender offers to tell files by, and the UTF-16 units of a name. There are two. */
export const MAX_DIGESTS = 16;
export const MAX_DIGEST_NAME = 16;

/** A device's name as it introduces itself; what DNS-SD allows for an instance (RFC 6763, 4.1.1). */
export const MAX_DEVICE_NAME = 63;

/** Strings in the record of a knock. More than a later version will say. */
export const MAX_KNOCK_STRINGS = 16;

// Of those who have not proven yet that they are welcome.

/** What strangers may take of a listener. */
export interface StrangerLimits {
  /** Connections at a time. Bounds memory and handles. */
  readonly all: number;
  /** The same of one source. A single computer cannot fill the room. */
  readonly each: number;
  /** Connections a second, and at once. Bounds the work of handshakes, of a few ms each. */
  readonly rate: number;
  readonly rateEach: number;
}

export const STRANGER_LIMITS: StrangerLimits = { all: 64, each: 4, rate: 100, rateEach: 20 };

/** Sources whose rate is remembered; whoever is forgotten has been quiet, or there are too many. */
export const MAX_SOURCES = 1024;

/** From TCP to the end of the greeting. An absolute limit: dripping bytes does not extend it. */
export const GREETING_LIMIT = 10_000;

/** What guesses at a code or PIN are up against. */
export interface CodeLimits {
  /** Wrong answers after which a code is replaced; a PIN never is. */
  readonly wrongPerCode: number;
  /** Wrong answers after which no new device is let in any more. */
  readonly wrongInAll: number;
  /** How long nothing is judged after the first wrong answer; it doubles with each. */
  readonly gap: number;
  readonly maxGap: number;
  /** How long no new device is let in; Infinity where somebody is there who can end it. */
  readonly lock: number;
}

export const CODE_LIMITS: CodeLimits = {
  wrongPerCode: 3,
  wrongInAll: 10,
  gap: 1_000,
  maxGap: 64_000,
  lock: 3_600_000,
};

/**
 * How long a device may take from our share of CPace to its answer; nobody else is judged meanwhile.
 * Several times what a slow one needs in a bad network, and half of what those who wait have.
 */
export const JUDGING_LIMIT = 5_000;

/** What a PIN must have, in characters, as it lives longer than a code; and what it may have. */
export const MIN_PIN = 8;
export const MAX_PIN = 256;

/** Answers that a person gives to one receiver. Bounds the guesses of one that is in its place. */
export const CODE_TRIES = 3;

/** Questions for it in all: whoever changes its code after every answer only wants more of them. */
export const CODE_QUESTIONS = 10;

// Of peers that are connected.

/** How long a greeted peer may be silent. Bounds how long a dead one holds a transfer. */
export const SILENCE_LIMIT = 15_000;

/** How long a greeted peer may take nothing of what we write. It may be writing to a slow disk. */
export const STALL_LIMIT = 120_000;

/**
 * How long a sender lets itself be dialled for a faster connection, and the receiver tries. Bounds
 * how long a port is open; nothing waits for that meanwhile.
 */
export const DATA_LIMIT = 5_000;

/** Received bytes that wait to be heard. Beyond them the network waits. */
export const MAX_BUFFERED = 1024 * 1024;

/** Visits of one device, and of all, at a time. Bounds what devices hold before any yes. */
export const MAX_VISITS_EACH = 4;
export const MAX_VISITS = 32;

/**
 * Bytes of memory that all transfers together hold: names and targets that are offered and not settled,
 * and what is needed of them to the end. A single one never comes so far.
 */
export const MAX_HELD = 288 * 1024 * 1024;

/** How long an accepted transfer may be without a connection: a yes is not for ever. */
export const IDLE_LIMIT = 3_600_000;

/** How long the last word can be repeated, if it was lost with the connection. */
export const REPEATED = 120_000;

/** Transfers without a connection: of one peer, and of all. The oldest gives way. */
export const MAX_IDLE_EACH = 4;
export const MAX_IDLE = 16;

/**
 * What devices that nobody vouches for may leave here at a time, where nobody is asked: files,
 * folders and links, and bytes…
 */
export const OPEN_ENTRIES = 100;
export const OPEN_BYTES = 1024 ** 3;

/** …and all of them together, as long as the receiver runs. */
export const OPEN_ENTRIES_IN_ALL = 10_000;
export const OPEN_BYTES_IN_ALL = 10 * OPEN_BYTES;

/** How long such a device may move nothing, while no question about it stands, and keep its place. */
export const STRANGER_IDLE = 30_000;

/** The same where it comes by a page of ours: phones fall asleep. Its page is waited for as long. */
export const VISITOR_IDLE = 120_000;

/**
 * How long a device that fetches may take nothing, its pauses not counted, and keep its place. A
 * person may be choosing there; and what is ended so can go on.
 */
export const FETCH_IDLE = 600_000;

/**
 * Bytes a millisecond: so slow may a device be that compares what it has with what is kept here of it.
 * For as long nothing need move, beside the times above.
 */
export const COMPARING_PACE = 10_000;

/** How far reading may be ahead of what the receiver has. Bounds the memory for what may be sent again. */
export const MAX_UNACKNOWLEDGED = 16 * 1024 * 1024;

/** How often each side may pause a transfer over one connection. Bounds what is told of that. */
export const MAX_PAUSES = 1000;

// Of the person's attention.

/** How long a question stands. Then it is a no: the sender waits. */
export const QUESTION_LIMIT = 120_000;

/** The same where a device asks to be called back: it waits for no longer than this. */
export const CALL_QUESTION_LIMIT = 60_000;

/** A person who said no so often is not asked again by the same device for a while. */
export const MAX_DECLINED = 2;

/**
 * Questions that ended without an answer, as nobody was there or the device waited no longer; and
 * failures, or refusals by a rule, that are told of a device before a transfer of it begins.
 */
export const MAX_UNANSWERED = 5;

/** The while, and how long a no counts. */
export const PATIENCE = 600_000;

/** Devices whose questions are counted. Those of longest ago are forgotten first. */
export const MAX_ASKERS = 1000;

/** Roots that one event names, and one question at most hears of. */
export const SHOWN_ROOTS = 100;

/** More bytes and files than one expects of a friend who just sends something: asked about. */
export const LARGE = 1024 ** 3;
export const MANY = 1_000;

/** How often a person says no to strangers who knock, in one run, until there are no more questions. */
export const MAX_REFUSALS = 3;

/**
 * Answers to that which are remembered, where all are agreed to they are not needed; and strangers
 * who came by themselves, about whom nobody is asked.
 */
export const MAX_ANSWERS = 64;

/** Devices that one command sends to at a time; the others wait for their turn. Bounds memory and handles. */
export const MAX_SENT_TO = 32;

// Of the disk, and of the memory for what lies there.

/** Free space that is left to others, the smaller of both: a full disk breaks more than a transfer. */
export const RESERVE = 1024 ** 3;
export const RESERVED_SHARE = 0.05;

/**
 * Bounds what a sender makes us hold that offers nothing but folders, links, or files that get another
 * name; enough for 180,000.
 */
export const INBOX_MEMORY = 96 * 1024 ** 2;

/** Files that are read to learn whether one of them is what was offered. */
export const MAX_COMPARED = 4;

/** `**` in a pattern. Bounds the time to look for it in a path that is made to take long. */
export const MAX_GLOBSTARS = 2;

/** How long the part of a file is kept for the peer that sent it. */
export const KEPT_FOR = 7 * 24 * 60 * 60 * 1000;

/** Staging folders that are looked through to find what a peer left. */
export const MAX_STAGINGS = 1000;

/** Staging folders that one transfer takes over; as many visits as a device has at a time, twice. */
export const MAX_CLAIMED = 8;

/** Parts that are remembered for one transfer. No more are kept. */
export const MAX_PARTS = 10_000;

/** Folders that are remembered for it as made. What lies in others of them may get more careful names. */
export const MAX_MADE = 200_000;

/** Devices that are remembered. More than anyone meets; bounds what is read to find one of them. */
export const MAX_PEERS = 1000;

/** Addresses at which each was met; bounds what is dialled in vain where none leads to it any more. */
export const MAX_PLACES_MET = 8;

/** Transfers that the history holds; the oldest are forgotten. Bounds what it takes of the disk. */
export const MAX_ARRIVALS = 1000;

/** Names of what came with each of them. Enough to know it again; files are only counted. */
export const MAX_ARRIVAL_ROOTS = 10;

// Of those who announce, ask and knock by multicast, which anybody can.

/** What fits one Ethernet frame (RFC 6762, 17); decoding takes time that grows with the size. */
export const MAX_PACKET = 1500;

/** Each question may be answered by a packet of its own: bounds what one packet makes us say. */
export const MAX_QUESTIONS = 20;

/** Records are compared pair by pair when an answer is put together. */
export const MAX_RECORDS = 128;

/** Packets a second on one link, and at once; large ones count more. Bounds the time for decoding. */
export const PACKET_RATE = 200;

/** Packets that wait for a turn, per link: an honest crowd answers at once. */
export const MAX_PACKETS_WAITING = 128;

/** Bounds what strangers can make us keep while nobody reads; what is left out is heard again. */
export const MAX_NEWS = 256;

/** Processes that are announced: bounds memory and dialling, all together… */
export const MAX_CLAIMS = 128;

/** …and of one source. */
export const MAX_CLAIMS_PER_SOURCE = 8;

/** Addresses in one announcement; nobody has more on one link. */
export const MAX_ANNOUNCED_ADDRESSES = 16;

/** Checks at a time: each opens a socket for each address; 256 are all that some systems allow. */
export const MAX_CHECKS = 32;

/** Devices that are asked at a time what they share, while a list is open. */
export const MAX_PEEKS = 8;

/** How long one of them may take to say so, in milliseconds. Its folders may be large, or its disk slow. */
export const PEEK_LIMIT = 10_000;

/** Lines that wait at a porch: of those whom we know… */
export const MAX_LINES = 32;

/** …and of those whom we do not know, but knocked at. Of these the oldest gives way. */
export const MAX_STRANGE_LINES = 8;

/** Processes that are knocked at; of those that nobody chose the oldest gives way. */
export const MAX_KNOCKED = 32;

/** How long the other end of a line may be silent; then its computer is gone. */
export const LINE_SILENCE = 6_000;

/** Bytes on a line that waits, where nobody hears: signs of life of half a day. */
export const MAX_UNHEARD = 64 * 1024;

/** Lines to those who knock, at a time, and to devices of one key. */
export const MAX_LINES_OUT = 16;
export const MAX_LINES_OUT_EACH = 4;

/** Looks at those who knock, at a time, and at one host; the oldest gives way. */
export const MAX_LOOKS = 16;
export const MAX_LOOKS_EACH = 2;

/** How long one takes, and how long a place is not looked at again, however often it knocks. */
export const LOOK_LIMIT = 2_000;
export const LOOK_GAP = 1_000;

/** Places whose last look is remembered; the oldest are forgotten first. */
export const MAX_LOOKED = 256;

// Of browsers, which anybody has.

/** Connections at a time to a page of ours. Bounds memory and handles… */
export const MAX_PAGE_CONNECTIONS = 128;

/** …and of one source. A browser has six, and a house may have one address. */
export const MAX_PAGE_CONNECTIONS_EACH = 48;

/**
 * Requests on one of them that are not answered to the end. A browser has one, and its next may come
 * while we still put away what the last one took. Bounds memory.
 */
export const MAX_PAGE_REQUESTS = 4;

/** Pages of `drop ui` that are open at a time. Bounds memory. */
export const MAX_PAGES = 16;

/** What is read of whoever listens where a window of ours was, until it has proven to be that window. Bounds memory… */
export const MAX_PROOF = 64;

/** …and how long it may take for that. The new window waits. */
export const PROOF_LIMIT = 3_000;

/** What a person is called for at a time who does not look at the window. Protects them from being rung out of their work. */
export const MAX_CALLS = 8;

/** UTF-16 units of a message that are read out to who does not see it. Protects them from what would not end. */
export const MAX_READ_OUT = 300;

/** What a page commands at once. Bounds what is held and parsed. */
export const MAX_COMMAND = 8 * 1024 * 1024;

/** How long a page may be away before what it lends is given up. It does not come back with its files. */
export const PAGE_GRACE = 5_000;

/** The head of a request. Ours are short. */
export const MAX_PAGE_HEADERS = 8 * 1024;

/** How long the head of a request may take to come. */
export const PAGE_HEADERS_LIMIT = 10_000;

/** How long a connection may stand still, in which nothing is asked or taken though we wait for it. */
export const PAGE_SILENCE_LIMIT = 60_000;

/** Files and folders that a page lends in one request. Bounds the work between two looks at the clock. */
export const MAX_LENT_PART = 1000;

/** The same in all, at a time, and the UTF-16 units of their paths together. Bounds memory. */
export const MAX_LENT = 100_000;
export const MAX_LENT_UNITS = 16 * 1024 * 1024;

/** The same of one source, of what all guests may lend. Leaves some of it to others. */
export const MAX_LENT_EACH = MAX_LENT / 2;
export const MAX_LENT_UNITS_EACH = MAX_LENT_UNITS / 2;

/** Times that a page lends something, as long as it is of use. */
export const MAX_LOANS = 64;

/** Small files of a page that are held as they will be read next. Bounds memory. */
export const MAX_LENT_AHEAD = 4 * 1024 * 1024;

/** What who has no link may try. It has 128 bits, so this bounds work and nothing else. */
export const MAX_WRONG_LINKS = 20;

/** The while in which these are counted, of one source. */
export const WRONG_LINKS_FOR = 60_000;

/** Wrong PINs of all sources together, after which nobody else is let in at a page for a while. */
export const MAX_WRONG_PAGE_PINS = 100;

/** A form that is filled in at a page, as it is sent. */
export const MAX_FORM = 4 * 1024;

/** Downloads from a page of ours at a time. Bounds handles, and what the disk is asked for… */
export const MAX_DOWNLOADS = 64;

/** …and of one source. A browser that loads one file in parts has six. */
export const MAX_DOWNLOADS_EACH = 8;

/** Names that one page lists; more are on the next. */
export const MAX_LISTED = 500;

/** Names of one folder that pages list at all. Bounds the time to look at them for each page. */
export const MAX_LISTED_IN_ALL = 10_000;

/** Files, folders and links in one zip. Bounds the memory for its directory, 20 MiB, and for its walk. */
export const MAX_ZIP_ENTRIES = 100_000;

/** Downloads of which it is remembered how much went where, so that each is told of once. */
export const MAX_DOWNLOADS_TOLD = 1000;

/** Parts of one that are remembered; a download in more of them is never taken for whole. */
export const MAX_DOWNLOAD_PARTS = 256;

/** Pages at a time at which guests upload. The one that is not used gives way. Bounds memory… */
export const MAX_GUEST_PAGES = 32;

/** …and of one source. */
export const MAX_GUEST_PAGES_EACH = 8;

/** What such a page says at once. Bounds what is held and parsed. */
export const MAX_GUEST_COMMAND = 1024 * 1024;

/** How long what it lends is held, and is not sent. */
export const GUEST_LOAN_LIMIT = 60_000;
