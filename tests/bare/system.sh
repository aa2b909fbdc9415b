# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A bare Debian 12 in a folder, for the scripts here: they source it and have set `dir`.

mirror=${NARWAL_DEBIAN_MIRROR:-http://deb.debian.org/debian}

make_base() {
    [[ ! -e $dir/base/.complete ]] || return 0
    rm -rf "$dir/base"
    mkdir -p "$dir"
    debootstrap --variant=minbase bookworm "$dir/base" "$mirror" >"$dir/debootstrap.log"
    touch "$dir/base/.complete"
}

# A copy with this machine's way to the network: name servers and extra certificates.
make_copy() {
    local root=$1
    rm -rf --one-file-system "$root"
    cp -a --reflink=auto "$dir/base" "$root"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    if [[ -d /usr/local/share/ca-certificates ]]; then
        mkdir -p "$root/usr/local/share/ca-certificates"
        cp -a /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    fi
}

# Runs a command in the copy, with mounts and processes that end with it.
inside() {
    local root=$1
    shift
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child bash -c '
        mount -t proc proc "$1/proc"
        mount --rbind /sys "$1/sys"
        mount --rbind /dev "$1/dev"
        root=$1; shift
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb "$@"
    ' inside "$root" "$@"
}
