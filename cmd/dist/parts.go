package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// part is something that the program is made of and others have written: a module, or Go's own library.
type part struct {
	// path and version are the module's, sum its hash as go.sum has it.
	path, version, sum string
	// texts are its licences and notices: those next to the packages that are in the program, and above them.
	texts []text
}

type text struct {
	file    string
	content []byte
}

// module and listed are what `go list` says of a package.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

type listed struct {
	ImportPath, Dir string
	Standard        bool
	Module          *module
}

// parts are those of a program, the plugins that are embedded in it included. What is linked is what the program itself
// says; where its licences are, the source knows.
func (s *source) parts(ctx context.Context, t platform, program string) ([]part, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	makefile, err := os.ReadFile(filepath.Join(s.dir, "Makefile"))
	if err != nil {
		return nil, err
	}
	guests, err := guestsOf(makefile)
	if err != nil {
		return nil, err
	}
	packages, err := s.list(ctx, t.environment(), t.tags(), "./cmd/culvert")
	if err != nil {
		return nil, err
	}
	for _, g := range guests {
		more, err := s.list(ctx, []string{"GOOS=wasip1", "GOARCH=wasm"}, "", "./plugins/"+g)
		if err != nil {
			return nil, err
		}
		packages = append(packages, more...)
	}
	root, err := s.run(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	library, err := libraryOf(root, info.GoVersion)
	if err != nil {
		return nil, err
	}
	list, err := collect(packages)
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(s.dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].sum = sumOf(sums, list[i])
	}
	for _, d := range info.Deps {
		if !slices.ContainsFunc(list, func(p part) bool { return p.path == d.Path && p.version == d.Version }) {
			return nil, fmt.Errorf("the program says that it holds %s %s, go list does not", d.Path, d.Version)
		}
	}
	return append([]part{library}, list...), nil
}

// libraryOf is Go's own library, by the folder that Go is in.
func libraryOf(root, version string) (part, error) {
	p := part{path: "std", version: version}
	if err := p.read(root, root); err != nil {
		return part{}, err
	}
	for _, t := range p.texts {
		if licence(t.content) != "" && bytes.Contains(t.content, []byte("The Go Authors")) {
			return p, nil
		}
	}
	return part{}, fmt.Errorf("%s: expected the licence of Go, found none among %d files", root, len(p.texts))
}

func (s *source) list(ctx context.Context, env []string, tags, pattern string) (packages []listed, err error) {
	out, err := s.run(ctx, env, "go", "list", "-deps", "-tags="+tags, "-json=ImportPath,Dir,Standard,Module", pattern)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, err
		}
		packages = append(packages, p)
	}
}

// collect makes parts of packages. A module without a licence is an error: nobody may pass it on.
func collect(packages []listed) (list []part, err error) {
	found := map[string]*part{}
	for _, p := range packages {
		m := p.Module
		if p.Standard || m == nil || m.Main {
			continue
		}
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s, which nobody else has", m.Path, m.Replace.Path)
		}
		known := found[m.Path]
		if known == nil {
			known = &part{path: m.Path, version: m.Version}
			found[m.Path] = known
		}
		if err := known.read(m.Dir, p.Dir); err != nil {
			return nil, err
		}
	}
	for _, p := range found {
		if !slices.ContainsFunc(p.texts, func(t text) bool { return licence(t.content) != "" }) {
			return nil, fmt.Errorf("%s %s: expected the text of a licence that is known, found none among %d files",
				p.path, p.version, len(p.texts))
		}
		slices.SortFunc(p.texts, func(a, b text) int { return cmp.Compare(a.file, b.file) })
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.path, b.path) })
	return list, nil
}

// read adds the licences of a package's folder, and of those above it up to the module's.
func (p *part) read(root, dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			name = filepath.ToSlash(name)
			if !e.Type().IsRegular() || !legal(e.Name()) ||
				slices.ContainsFunc(p.texts, func(t text) bool { return t.file == name }) {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			p.texts = append(p.texts, text{name, content})
		}
		if dir == root || len(dir) <= len(root) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// legal tells by its name whether a file is a licence or a notice.
func legal(name string) bool {
	name = strings.ToUpper(name)
	if strings.HasSuffix(name, ".GO") {
		return false
	}
	for _, begin := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS", "COPYRIGHT"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

// licences are known by what stands in their texts and in no other's, in the order in which they are looked for.
var licences = []struct{ id, says string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software without"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce the above copyright notice"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and " +
		"associated documentation files"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
}

// licence is the name of a licence by SPDX, "" for any other text.
func licence(content []byte) string {
	words := strings.ToLower(strings.Join(strings.Fields(strings.ReplaceAll(string(content), ",", "")), " "))
	for _, l := range licences {
		if strings.Contains(words, strings.ToLower(strings.ReplaceAll(l.says, ",", ""))) {
			return l.id
		}
	}
	return ""
}

// licences are the names of a part's licences, each once.
func (p part) licences() (ids []string) {
	for _, t := range p.texts {
		if id := licence(t.content); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// sumOf is a module's hash in go.sum, "" where it has none.
func sumOf(sums []byte, p part) string {
	for line := range strings.Lines(string(sums)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == p.path && f[1] == p.version {
			return f[2]
		}
	}
	return ""
}

// thirdParty is the text of all licences.
func thirdParty(parts []part) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("Culvert is under the Apache License 2.0, see LICENSE. The program holds what " +
		"others have written:\n\n")
	for _, p := range parts {
		ids := p.licences()
		if len(ids) == 0 {
			return nil, fmt.Errorf("%s %s has no licence that is known", p.path, p.version)
		}
		fmt.Fprintf(&b, "%s %s: %s\n", p.path, p.version, strings.Join(ids, ", "))
	}
	for _, p := range parts {
		for _, t := range p.texts {
			fmt.Fprintf(&b, "\n%s\n%s %s, %s\n\n%s\n", strings.Repeat("-", 80), p.path, p.version, t.file,
				bytes.TrimSpace(t.content))
		}
	}
	return b.Bytes(), nil
}
