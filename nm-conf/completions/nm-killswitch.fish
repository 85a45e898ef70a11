# fish completion for nm-killswitch(8)

function __nm_killswitch_is_first
    test (count (commandline -opc)) -eq 1
end

# True for the command $argv[1] before a profile is named.
function __nm_killswitch_wants_profile
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv; or return 1
    for word in $words[3..-1]
        string match -q -- '-*' $word; or return 1
    end
end

function __nm_killswitch_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

complete -c nm-killswitch -f
complete -c nm-killswitch -n __nm_killswitch_is_first -a list -d 'List the VPNs, and likely mistakes'
complete -c nm-killswitch -n __nm_killswitch_is_first -a enable -d 'Arm a VPN'
complete -c nm-killswitch -n __nm_killswitch_is_first -a disable -d 'Disarm a VPN'
complete -c nm-killswitch -n __nm_killswitch_is_first -a status -d 'Show what is blocked, by what, and what to do'
complete -c nm-killswitch -n __nm_killswitch_is_first -a check -d 'Ask the kernel where packets would go'
complete -c nm-killswitch -n __nm_killswitch_is_first -a sync -d 'Bring rules and routes in line with profiles and settings'
complete -c nm-killswitch -n __nm_killswitch_is_first -a heal -d 'Undo changes by other programs'
complete -c nm-killswitch -n __nm_killswitch_is_first -a release -d 'Remove everything until resume or a reboot'
complete -c nm-killswitch -n __nm_killswitch_is_first -a resume -d 'Undo release'
complete -c nm-killswitch -n __nm_killswitch_is_first -a selftest -d 'Try the attacks on this kernel, in network namespaces'
complete -c nm-killswitch -n __nm_killswitch_is_first -a help -d 'List the commands'
complete -c nm-killswitch -n __nm_killswitch_is_first -l help -d 'List the commands'
complete -c nm-killswitch -n __nm_killswitch_is_first -l version -d 'Show the version'
complete -c nm-killswitch -n '__nm_killswitch_wants_profile enable disable' -a '(nm-killswitch list --names 2>/dev/null)' -d VPN
complete -c nm-killswitch -n '__nm_killswitch_command enable' -l session -d 'Armed while connected'
complete -c nm-killswitch -n '__nm_killswitch_command enable' -l force -d 'Even if it cuts off this SSH connection'
complete -c nm-killswitch -n '__nm_killswitch_command list' -l names -d 'Print names only'
complete -c nm-killswitch -n '__nm_killswitch_command status' -l json -d 'Print one JSON object'
complete -c nm-killswitch -n '__nm_killswitch_command status' -l watch -d 'Follow changes'
complete -c nm-killswitch -n '__nm_killswitch_command status' -l quiet -d 'Tell the state by the exit status'
complete -c nm-killswitch -n '__nm_killswitch_command sync' -l boot -d 'Do not ask NetworkManager'
complete -c nm-killswitch -n '__nm_killswitch_command sync' -l follow -d 'Look again while files change'
complete -c nm-killswitch -n '__nm_killswitch_command selftest' -l verbose -d 'Show each packet'
