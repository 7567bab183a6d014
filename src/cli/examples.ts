/** What stands below the help of each command, and of all. */
export const EXAMPLES = {
  drop: `
Examples:
  drop receive                        wait for files and save them
  drop send report.pdf photos/        choose a device in the list and send
  drop send --to bob report.pdf       send to a device by its name
  drop share slides.pdf               let others fetch it, as many as like
  drop get                            fetch what somebody shares
  drop ui                             all of it in a window of the browser
  drop peers                          who is there?
  drop history                        what has arrived?
  drop doctor                         why does it not work?

Environment:
  DROP_HOME   the folder for the identity and the known devices of this computer
  DROP_CODE   the code or PIN of a new device, where nobody can be asked
  DROP_PIN    the PIN of drop receive and drop share, as in --pin-file
  NO_COLOR, FORCE_COLOR   as usual

Exit codes: 0 delivered and verified, 2 usage, 3 no such device, 4 declined,
  5 incomplete, 6 identity, 7 integrity, 8 local disk, 1 unexpected
`,
  send: `
Examples:
  drop send report.pdf
  drop send --to "Ana's laptop" report.pdf photos/
  drop send --to 192.168.1.20 report.pdf
  drop send --to ana --to bob report.pdf   one transfer each
  drop send --all slides.pdf               all known devices that are ready
  drop send --to bob project/ --exclude node_modules --exclude '*.log'
  drop send --to bob --text "The meeting is in room 5."
  tar c photos | drop send --to bob - --name photos.tar
  DROP_CODE=493027 drop send --no-input --to bob report.pdf
`,
  receive: `
Examples:
  drop receive
  drop receive --into ~/Inbox --once
  drop receive --once --as today.pdf
  drop receive --stdout | tar x
  drop receive --into ~/Backup --on-conflict newer --max-size 2GB
  drop receive --yes --json
  drop receive --into ~/Inbox --pin-file ~/.config/drop-pin
  drop receive --into ~/Inbox --by-device --notify desktop
  drop receive --web                  for phones and guests, too
`,
  share: `
Examples:
  drop share report.pdf
  drop share --once photos/
  drop share --pin slides.pdf handout.pdf
  drop share --yes --limit 20MB/s photos/
  drop share --web slides.pdf         for phones and guests, too
`,
  get: `
Examples:
  drop get
  drop get --from "Ana's laptop"
  drop get --from ana --into ~/Photos
  drop get --from ana --only photos/2024 --only '*.pdf'
  drop get --from 192.168.1.20 --as today.pdf
  DROP_CODE=493027 drop get --no-input --from ana
`,
  peers: `
Examples:
  drop peers
  drop peers --watch
  drop peers --scan
`,
  history: `
Examples:
  drop history
  drop history -n 5
  drop history --json | jq -r 'select(.ok) | .peer.name'
  drop history --clear
`,
  ui: `
Examples:
  drop ui                         again: the window that is there opens
  drop ui --notify desktop        tells of questions while no page is open
  drop ui --no-open --port 8080   print the link, and open it yourself
  ssh -L 8080:127.0.0.1:8080 host drop ui --no-open --port 8080
`,
  doctor: `
Examples:
  drop doctor
  drop doctor --json
  drop doctor --interface wlan0
`,
  trust: `
Examples:
  drop trust "Ana's laptop" auto      save what it sends without asking
  drop trust "Ana's laptop" ask
`,
  rename: `
Examples:
  drop rename anas-laptop Ana
`,
  forget: `
Examples:
  drop forget Ana
  drop forget 1b4f0e98                by the start of its id
`,
  block: `
Examples:
  drop block Eve
  drop trust Eve ask                  to take it back
`,
  completion: `
Examples:
  drop completion bash >> ~/.bashrc
  drop completion zsh >> ~/.zshrc     below compinit
  drop completion fish >> ~/.config/fish/config.fish
  drop completion powershell | Add-Content $PROFILE
`,
} as const;
