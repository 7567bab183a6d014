/** 2-DROP on the keys of a telephone, in a range that no system hands out and nobody registered. */
export const DEFAULT_PORT = 23767;

/** The ports to try, in this order; 0 is any free one. */
export const PORTS: readonly number[] = [
  ...Array.from({ length: 10 }, (_, i) => DEFAULT_PORT + i),
  0,
];

/** Where a device listens most likely: whoever receives and shares at once does so at two ports. */
export const FIRST_PORTS: readonly number[] = PORTS.slice(0, 2);

/**
 * Where a chooser listens for those whom it cannot dial: they go to no other port. From the last
 * one down, so that the first stay for those who receive.
 */
export const KNOCK_PORTS: readonly number[] = PORTS.filter((port) => port !== 0).reverse();
