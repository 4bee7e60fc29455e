package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Tags of an RPM's header: what there is of its files, one value for each.
const (
	tagModes     = 1030 // 16 bits
	tagFlags     = 1037 // 32 bits
	tagUsers     = 1039 // texts
	tagFolderOf  = 1116 // 32 bits
	tagBaseNames = 1117 // texts
	tagFolders   = 1118 // texts
)

const (
	leadBytes   = 96
	configFlag  = 1
	permissions = 0o7777
)

// openRPM lists what an RPM holds, as its header says.
func openRPM(data []byte) (map[string]packed, error) {
	lead, err := cut(&data, leadBytes)
	if err != nil || !bytes.HasPrefix(lead, []byte{0xed, 0xab, 0xee, 0xdb}) {
		return nil, errors.New("expected an RPM, found something else")
	}
	_, used, err := readHeader(&data) // that of the signatures, which fills up to 8 bytes
	if err != nil {
		return nil, fmt.Errorf("signatures: %w", err)
	}
	if _, err := cut(&data, -used&7); err != nil {
		return nil, err
	}
	h, _, err := readHeader(&data)
	if err != nil {
		return nil, err
	}
	names, folders, users := h.texts(tagBaseNames), h.texts(tagFolders), h.texts(tagUsers)
	modes, flags, of := h.numbers(tagModes, 2), h.numbers(tagFlags, 4), h.numbers(tagFolderOf, 4)
	if n := len(names); len(users) != n || len(modes) != n || len(flags) != n || len(of) != n {
		return nil, fmt.Errorf("%d files have %d users, %d modes, %d flags, %d folders", n, len(users), len(modes),
			len(flags), len(of))
	}
	found := map[string]packed{}
	for i, name := range names {
		if of[i] >= len(folders) {
			return nil, fmt.Errorf("%s is in folder %d of %d", name, of[i], len(folders))
		}
		found[absolute(folders[of[i]]+name)] = packed{int64(modes[i] & permissions), flags[i]&configFlag != 0, users[i]}
	}
	return found, nil
}

// rpmHeader holds the values of tags.
type rpmHeader map[int]rpmValue

type rpmValue struct {
	count int
	data  []byte
}

// readHeader reads a header and tells how long it is.
func readHeader(data *[]byte) (h rpmHeader, used int, err error) {
	start, err := cut(data, 16)
	if err != nil || !bytes.HasPrefix(start, []byte{0x8e, 0xad, 0xe8, 1}) {
		return nil, 0, errors.New("expected a header, found something else")
	}
	entries, bytes := int(binary.BigEndian.Uint32(start[8:])), int(binary.BigEndian.Uint32(start[12:]))
	index, err := cut(data, entries*16)
	if err != nil {
		return nil, 0, err
	}
	store, err := cut(data, bytes)
	if err != nil {
		return nil, 0, err
	}
	h = rpmHeader{}
	for ; len(index) > 0; index = index[16:] {
		at := int(binary.BigEndian.Uint32(index[8:]))
		if at > len(store) {
			return nil, 0, fmt.Errorf("a value begins at %d of %d bytes", at, len(store))
		}
		h[int(binary.BigEndian.Uint32(index))] = rpmValue{int(binary.BigEndian.Uint32(index[12:])), store[at:]}
	}
	return h, 16 + entries*16 + bytes, nil
}

func (h rpmHeader) texts(tag int) (list []string) {
	v := h[tag]
	for range v.count {
		text, rest, found := bytes.Cut(v.data, []byte{0})
		if !found {
			return list
		}
		list, v.data = append(list, string(text)), rest
	}
	return list
}

func (h rpmHeader) numbers(tag, size int) (list []int) {
	v := h[tag]
	for range v.count {
		b, err := cut(&v.data, size)
		if err != nil {
			return list
		}
		n := 0
		for _, x := range b {
			n = n<<8 | int(x)
		}
		list = append(list, n)
	}
	return list
}
