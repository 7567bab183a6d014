/** What a process is started with. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What is set for `drop`, codes and PINs among it, is for no other program. */
export function withoutOurs(environment: Environment): Environment {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith('DROP_')),
  );
}
