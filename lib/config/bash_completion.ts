/**
 * The completion script for bash. Unlike that of the library it needs no other package, evaluates nothing that was typed,
 * may be sourced again, and offers files where the program asks for them. Pure.
 *
 * @module
 */

/** The script for `program`. */
export function bashCompletion(program: string): string {
  const name = `__${program.replace(/[^A-Za-z0-9]/g, "_")}_complete`;
  return `# bash completion for ${program}

${name}() {
    local line=\${COMP_LINE:0:COMP_POINT} before="" out="" value="" words=()
    read -ra words <<< "$line"
    # After a blank comes an empty word.
    [[ $line == *[[:blank:]] ]] && words+=("")
    out=$("\${1/#\\~\\//$HOME/}" complete -- "\${words[@]:1}" 2> /dev/null)
    COMPREPLY=()
    # The last line says what to do without an answer: 4 means to offer no files.
    [[ \${out##*:} == 4 ]] && compopt +o default 2> /dev/null
    # Where "=" ends no word, the flag is part of the word.
    [[ $2 == --*=* ]] && before="\${2%%=*}="
    while IFS=$'\\t' read -r value _; do
        [[ -n $value && $value != :* ]] && COMPREPLY+=("$before$value")
    done <<< "$out"
}

complete -o default -F ${name} ${program}
`;
}
