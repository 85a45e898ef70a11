# bash completion for nm-killswitch(8)                      -*- shell-script -*-

# Adds the lines of standard input that begin with the word typed so far, quoted as the shell needs them.
_nm_killswitch_names ()
{
	local name word=$1
	# what was typed may be quoted already
	word=${word//\\/}
	word=${word#[\"\']}
	while IFS= read -r name; do
		[[ $name != "$word"* ]] || COMPREPLY+=("$(printf '%q' "$name")")
	done
}

_nm_killswitch ()
{
	local cur=${COMP_WORDS[COMP_CWORD]} words='' i
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words='list enable disable status check sync heal release resume selftest help --help --version'
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	list) words=--names ;;
	enable) words='--session --force' ;;
	status) words='--json --watch --quiet' ;;
	sync) words='--boot --follow' ;;
	selftest) words=--verbose ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	case ${COMP_WORDS[1]} in
	enable | disable)
		for ((i = 2; i < COMP_CWORD; i++)); do
			[[ ${COMP_WORDS[i]} == -* ]] || return # there is a name already
		done
		_nm_killswitch_names "$cur" < <(nm-killswitch list --names 2>/dev/null)
		;;
	esac
}

complete -F _nm_killswitch nm-killswitch
