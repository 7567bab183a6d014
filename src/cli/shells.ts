import type { Shell } from './orders.ts';

/**
 * What the shells are told, and what they understand. Their scripts hold no option and no name: they
 * ask `drop __complete` at each press of Tab, take its answer as text and never as shell code, and
 * give whatever they insert the quotes that it needs. They lie in people's files for years, so a
 * later `drop` must still answer the question that an old script asks.
 */

/** The script of `drop completion`. ASCII only, as nobody knows how it will be read. */
export function scriptOf(shell: Shell): string {
  return SCRIPTS[shell];
}

const SCRIPTS: Record<Shell, string> = {
  // Bash gives words back raw, and replaces only what stands behind the last of COMP_WORDBREAKS, which
  // is $2: so `drop` is told both, and answers in quotes. No compopt: bash 3, of macOS, which offers
  // files, too.
  bash: `# Completion of drop in bash; made by: drop completion bash
_drop() {
  local line kind=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ -z "$kind" ]; then kind=$line; else COMPREPLY[\${#COMPREPLY[@]}]=$line; fi
  done < <(command drop __complete bash "\${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
  case $kind in
    files) ;;
    folders) compopt +o default -o dirnames 2>/dev/null ;;
    *) compopt +o default 2>/dev/null ;;
  esac
}
complete -o default -F _drop drop
`,

  // (Q) takes quotes away and runs nothing; compadd quotes what is inserted. In what is shown, % and
  // what follows could change colours.
  zsh: `#compdef drop
# Completion of drop in zsh; made by: drop completion zsh
_drop() {
  local kind line
  local -a answer texts shown
  answer=("\${(@f)$(command drop __complete zsh "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  kind=$answer[1]
  if [[ $kind == (files|folders) ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '--[^=]#='
    if [[ $kind == folders ]]; then _files -/; else _files; fi
    return
  fi
  local -i width=0
  for line in "\${(@)answer[2,-1]}"; do
    texts+=("\${line%%$'\\t'*}")
    (( \${(m)#texts[-1]} > width )) && width=\${(m)#texts[-1]}
  done
  for line in "\${(@)answer[2,-1]}"; do
    shown+=("\${\${(mr:width+2:)\${line%%$'\\t'*}}//\\%/%%}\${\${line#*$'\\t'}//\\%/%%}")
  done
  (( $#texts )) && compadd -l -d shown -a -- texts
}
if [[ $funcstack[1] == _drop ]]; then _drop "$@"; else compdef _drop drop; fi
`,

  // Fish quotes what it inserts. -o takes quotes away and runs nothing; complete -C lists paths as
  // fish itself would, with what stands before them.
  fish: `# Completion of drop in fish; made by: drop completion fish
function __drop_complete
    set -l token (commandline -ct)
    set -l words (commandline -opc)
    set -l answer (command drop __complete fish $words[2..-1] "$token" 2>/dev/null)
    set -l option (string match -r -- '^--[^=]+=' "$token")
    set -l path (string replace -r -- '^--[^=]+=' '' "$token")
    switch "$answer[1]"
        case files
            string replace -r -- '^' "$option" (complete -C "'' $path")
        case folders
            string replace -r -- '^' "$option" (complete -C "'' $path" | string match -r '.*/$')
        case '*'
            printf '%s\\n' $answer[2..-1]
    end
end
complete -c drop -f -a '(__drop_complete)'
`,

  // Each word goes as hexadecimal digits and the answer comes as ASCII, as before 7.3 PowerShell loses
  // quotes and empty words on their way to a program, cmd.exe may stand between them, and what
  // comes back is read in the code page of the console.
  powershell: `# Completion of drop in PowerShell; made by: drop completion powershell
Register-ArgumentCompleter -Native -CommandName drop -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
    Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
    ForEach-Object {
      if ($_ -is [Management.Automation.Language.StringConstantExpressionAst]) { $_.Value }
      else { $_.Extent.Text } })
  $words += ([string]$wordToComplete).Trim([char[]]@([char]34, [char]39))
  $hex = @($words | ForEach-Object {
    'x' + [BitConverter]::ToString([Text.Encoding]::UTF8.GetBytes($_)) })
  $answer = (& drop __complete powershell @hex 2>$null) | ConvertFrom-Json
  if ($answer.kind -ne 'words') { return }
  if ($answer.words.Count -eq 0) { return '' }
  $answer.words | ForEach-Object {
    $text = $_.text
    if ($text -notmatch '^[A-Za-z0-9-][A-Za-z0-9._-]*$') {
      $text = "'" + [Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($text) + "'"
    }
    $about = if ($_.about) { $_.about } else { $_.text }
    [Management.Automation.CompletionResult]::new($text, $_.text, 'ParameterValue', $about)
  }
}
`,
};

/**
 * Whether a name that others have chosen reaches `drop` as it is. Bash and zsh can quote anything, and fish
 * all but a `~` at the start, which it takes for a home folder. PowerShell before 7.3 hands `"` on as
 * the end of a word, and where `drop.cmd` runs, cmd.exe obeys `&`, `|`, `%` and others: so only what
 * means nothing to either.
 */
export function writable(name: string, shell: Shell): boolean {
  if (shell === 'fish') return !name.startsWith('~');
  return shell !== 'powershell' || /^[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N} ._'’()+-]*$/u.test(name);
}

/** Inside which quotes of bash a text ends. */
type Quotes = 'none' | 'single' | 'double';

/** The words of a line of bash up to the cursor; the last is the one that the cursor is in, or empty. */
export function wordsOfBash(line: string): { words: string[]; last: string } {
  const { words } = readBash(line);
  return { words: words.slice(0, -1), last: words.at(-1) ?? '' };
}

/**
 * What bash is to put in the place of `replaced`, which is the end of `line`, so that the last word of
 * the line becomes `word`: whatever stands before stays as it was typed. Undefined if that
 * is not how the word begins.
 */
export function afterBash(line: string, replaced: string, word: string): string | undefined {
  const { words, quotes } = readBash(line.slice(0, line.length - replaced.length));
  const before = words.at(-1) ?? '';
  return word.startsWith(before) ? quoted(word.slice(before.length), quotes) : undefined;
}

/** Quotes and backslashes are understood, all else is taken as it is: nothing is expanded. */
function readBash(line: string): { words: string[]; quotes: Quotes } {
  const words: string[] = [];
  let word = '';
  let begun = false;
  let quotes: Quotes = 'none';
  for (let n = 0; n < line.length; n++) {
    const sign = line.charAt(n);
    const following = line.charAt(n + 1);
    if (quotes === 'none' && /[ \t\n]/.test(sign)) {
      if (begun) words.push(word);
      [word, begun] = ['', false];
      continue;
    }
    begun = true;
    if (quotes === 'single') {
      if (sign === "'") quotes = 'none';
      else word += sign;
    } else if (sign === '\\' && (quotes === 'none' || /["$`\\]/.test(following))) {
      word += following;
      n++;
    } else if (sign === '"') quotes = quotes === 'double' ? 'none' : 'double';
    else if (sign === "'" && quotes === 'none') quotes = 'single';
    else word += sign;
  }
  return { words: [...words, word], quotes };
}

/**
 * `text` so that bash reads it as it is, even on a line that somebody edits, where ! means something.
 * Readline adds the quote that is missing at the end, except where one stands there already.
 */
function quoted(text: string, quotes: Quotes): string {
  if (quotes === 'none') return text.replace(/[^\w./:@%+,=\u0080-\uffff-]/g, '\\$&');
  const inside =
    quotes === 'single'
      ? text.replaceAll("'", "'\\''")
      : text.replace(/["$`\\]/g, '\\$&').replaceAll('!', '"\\!"');
  return inside.replace(quotes === 'single' ? /'$/ : /"$/, '$&$&');
}

/** JSON of ASCII alone. */
export function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
