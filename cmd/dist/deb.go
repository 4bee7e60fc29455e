package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// openDeb lists what a package of Debian holds.
func openDeb(data []byte) (map[string]packed, error) {
	parts, err := members(data)
	if err != nil {
		return nil, err
	}
	if got := string(parts["debian-binary"]); got != "2.0\n" {
		return nil, fmt.Errorf("debian-binary: expected 2.0, found %q", got)
	}
	found := map[string]packed{}
	err = walk(parts["data.tar.gz"], func(h *tar.Header, _ io.Reader) error {
		found[absolute(h.Name)] = packed{mode: h.Mode & 0o7777, owner: h.Uname}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("data.tar.gz: %w", err)
	}
	err = walk(parts["control.tar.gz"], func(h *tar.Header, r io.Reader) error {
		if absolute(h.Name) != "/conffiles" {
			return nil
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		for name := range strings.Lines(string(text)) {
			name = strings.TrimSpace(name)
			p, there := found[name]
			if !there {
				return fmt.Errorf("conffiles names %s, which is not in the package", name)
			}
			p.configuration = true
			found[name] = p
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("control.tar.gz: %w", err)
	}
	return found, nil
}

func walk(data []byte, each func(*tar.Header, io.Reader) error) error {
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = each(h, r)
		}
		if err != nil {
			return err
		}
	}
}
