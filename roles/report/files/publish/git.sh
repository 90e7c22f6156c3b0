#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# git.sh FILE…: commit the files to a branch and push it. All else is lines of standard input, as Ansible shows the environment of a task
# in its command line: url, branch, folder (in the repository), name, email, message; for SSH key_file and host_key (a line of a
# known_hosts file, may be repeated); for HTTP header (may be repeated), username, password, ca_path. Each as name=value.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Settings of this script alone.
count=0
setting() {
    export "GIT_CONFIG_KEY_$count=$1" "GIT_CONFIG_VALUE_$count=$2"
    count=$((count + 1))
    export GIT_CONFIG_COUNT=$count
}

ssh=${GIT_SSH_COMMAND:-ssh}
while IFS= read -r line; do
    value=${line#*=}
    case $line in
    url=*) url=$value ;;
    branch=*) branch=$value ;;
    folder=*) folder=$value ;;
    message=*) message=$value ;;
    name=*) setting user.name "$value" ;;
    email=*) setting user.email "$value" ;;
    header=*) setting http.extraHeader "$value" ;;
    # This variable of Git goes before its setting.
    ca_path=*) export "GIT_SSL_CAINFO=$value" ;;
    username=*) export "KSYSAK_USERNAME=$value" ;;
    password=*)
        export "KSYSAK_PASSWORD=$value"
        # Without the user's own helpers: one that keeps passwords would keep this one.
        setting credential.helper ''
        # shellcheck disable=SC2016
        setting credential.helper '!f() { printf "username=%s\npassword=%s\n" "$KSYSAK_USERNAME" "$KSYSAK_PASSWORD"; }; f'
        ;;
    # Git gives the command to a shell, which reads the quotes.
    key_file=*) ssh="ssh -i '$(printf '%s' "$value" | sed "s/'/'\\\\''/g")' -o IdentitiesOnly=yes" ;;
    host_key=*) printf '%s\n' "$value" >>"$work/host_keys" ;;
    esac
done
[ ! -e "$work/host_keys" ] ||
    ssh="$ssh -o UserKnownHostsFile=$work/host_keys -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
export GIT_TERMINAL_PROMPT=0 "GIT_SSH_COMMAND=$ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10"

# A server that sends nothing is given up.
setting http.lowSpeedLimit 1
setting http.lowSpeedTime 20
# Headers would follow a redirect to another server.
setting http.followRedirects false
setting commit.gpgSign false
setting core.hooksPath /dev/null

git init --quiet "$work/repository"
cd "$work/repository"
git remote add origin "$url"
found=$(git ls-remote origin "refs/heads/$branch")
if [ -n "$found" ]; then
    git fetch --quiet --depth 1 origin "refs/heads/$branch"
    git checkout --quiet -B "$branch" FETCH_HEAD
else
    git checkout --quiet --orphan "$branch"
fi
mkdir -p "./$folder"
cp -- "$@" "./$folder/"
git add --force -- "./$folder"
if git diff --cached --quiet; then
    echo unchanged
    exit
fi
git commit --quiet --message "$message"
git push --quiet origin "HEAD:refs/heads/$branch"
# Another job may have pushed since: its commit is on top of this one.
git fetch --quiet origin "refs/heads/$branch"
git merge-base --is-ancestor HEAD FETCH_HEAD
echo pushed
