import type { Link } from '../../src/net/links.ts';

interface LinkParts {
  readonly name?: string;
  readonly family?: Link['family'];
  /** `address/prefix`, the one to speak from in front. */
  readonly networks: readonly string[];
  readonly loopback?: boolean;
}

export function link({ name = 'eth0', family = 'IPv4', networks, loopback }: LinkParts): Link {
  const parsed = networks.map((network) => {
    const [address = '', prefix] = network.split('/');
    return { address, prefix: Number(prefix) };
  });
  return {
    key: [family, name, ...networks].join(' '),
    name,
    family,
    address: parsed[0]?.address ?? '',
    zone: name,
    networks: parsed,
    loopback: loopback ?? false,
  };
}
