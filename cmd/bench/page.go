package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// Marks around the figures in the page.
const pageBegin, pageEnd = "<!-- begin: make bench -->\n", "<!-- end: make bench -->"

// copyOutput replaces [os.Stdout] by a pipe whose content is also collected. finish restores it and writes the
// collected text between the marks of the page.
func copyOutput(path string) (finish func() error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out := os.Stdout
	printed := &bytes.Buffer{}
	copied := make(chan error, 1)
	os.Stdout = w
	go func() {
		_, err := io.Copy(io.MultiWriter(out, printed), r)
		copied <- err
	}()
	return func() error {
		os.Stdout = out
		w.Close()
		if err := <-copied; err != nil {
			return err
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		head, remaining, hasBegin := strings.Cut(string(page), pageBegin)
		_, tail, hasEnd := strings.Cut(remaining, pageEnd)
		if !hasBegin || !hasEnd {
			return fmt.Errorf("%s: expected the marks %q and %q", path, pageBegin, pageEnd)
		}
		figures := fmt.Sprintf("%s, %s/%s, %d processors.\n\n```\n$ bench %s\n\n%s\n```\n\n", runtime.Version(),
			runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), strings.Join(os.Args[1:], " "),
			strings.TrimSpace(printed.String()))
		return os.WriteFile(path, []byte(head+pageBegin+figures+pageEnd+tail), 0o644)
	}, nil
}
