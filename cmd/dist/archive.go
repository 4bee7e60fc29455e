package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"slices"
	"time"
)

// entry is a file in an archive, or an archive itself.
type entry struct {
	name       string
	data       []byte
	executable bool
}

func (e entry) mode() int64 {
	if e.executable {
		return 0o755
	}
	return 0o644
}

// archive packs files below a folder: for Windows as zip, else as tar.gz. The same files come to the same bytes, in
// whatever order they are given.
func archive(t platform, folder string, at time.Time, files []entry) (entry, error) {
	files = slices.SortedFunc(slices.Values(files), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	var b bytes.Buffer
	if t.system == "windows" {
		return entry{name: folder + ".zip"}.filled(&b, packZip(&b, folder, at, files))
	}
	return entry{name: folder + ".tar.gz"}.filled(&b, packTar(&b, folder, at, files))
}

func (e entry) filled(b *bytes.Buffer, err error) (entry, error) {
	e.data = b.Bytes()
	return e, err
}

func packTar(b *bytes.Buffer, folder string, at time.Time, files []entry) error {
	packed := gzip.NewWriter(b)
	w := tar.NewWriter(packed)
	for _, f := range files {
		h := tar.Header{Name: folder + "/" + f.name, Mode: f.mode(), Size: int64(len(f.data)), ModTime: at,
			Format: tar.FormatPAX}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func packZip(b *bytes.Buffer, folder string, at time.Time, files []entry) error {
	w := zip.NewWriter(b)
	for _, f := range files {
		h := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: at}
		if f.executable {
			h.SetMode(0o755)
		} else {
			h.SetMode(0o644)
		}
		into, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := into.Write(f.data); err != nil {
			return err
		}
	}
	return w.Close()
}
