/**
 * `holdfast completion bash|zsh|fish`: a small script that asks `holdfast complete` for each word, so
 * that what is offered is always what this version takes, and what this device and this fleet have.
 */
import { Argument, type Command } from 'commander';
import { candidatesOf } from './complete.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';

const BASH = `# bash completion for holdfast: eval "$(holdfast completion bash)"
_holdfast() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" line file
  [[ $cur == '=' ]] && cur=''
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ':files' ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$cur")
    else
      COMPREPLY+=("\${line%%$'\\t'*}")
    fi
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _holdfast holdfast
`;

const ZSH = `#compdef holdfast
# zsh completion for holdfast: holdfast completion zsh > "\${fpath[1]}/_holdfast"
_holdfast() {
  local -a lines values
  local line
  lines=("\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    if [[ $line == ':files' ]]; then
      _files
    else
      values+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( \${#values} )) && _describe 'holdfast' values
}
if [[ "\${funcstack[1]}" == '_holdfast' ]]; then _holdfast; else compdef _holdfast holdfast; fi
`;

const FISH = `# fish completion for holdfast: holdfast completion fish > ~/.config/fish/completions/holdfast.fish
function __holdfast_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = ':files'
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c holdfast -f -a '(__holdfast_complete)'
`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export function registerCompletion(program: Command, context: CliContext): void {
  program
    .command('completion')
    .description('completion for a shell: eval "$(holdfast completion bash)"')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .action((shell: string) => {
      context.terminal.out(SCRIPTS[shell] ?? '');
      context.exit(EXIT.done);
    });
  program
    .command('complete', { hidden: true })
    .description('what may stand at the end of a command line: asked by the scripts of completion')
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: readonly string[]) => {
      const found = await candidatesOf(program, context, words);
      context.terminal.out(found.map((line) => `${line}\n`).join(''));
      context.exit(EXIT.done);
    });
}
