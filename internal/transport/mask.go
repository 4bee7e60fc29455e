package transport

import (
	"bytes"
	"io"
	"slices"
)

// maskingReader redacts texts in a body. It reads ahead by the length of the longest text.
type maskingReader struct {
	inner   io.ReadCloser
	texts   [][]byte // longest first
	pending []byte   // read, and not searched yet
	out     []byte   // redacted, and not returned yet
	err     error    // of inner, returned after out
}

// mask returns a reader of body that hides the texts. It closes body.
func mask(body io.ReadCloser, texts []string) io.ReadCloser {
	if len(texts) == 0 {
		return body
	}
	m := &maskingReader{inner: body}
	for _, text := range texts {
		m.texts = append(m.texts, []byte(text))
	}
	slices.SortFunc(m.texts, func(a, b []byte) int { return len(b) - len(a) })
	return m
}

func (m *maskingReader) Read(p []byte) (int, error) {
	for len(m.out) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		n, err := m.inner.Read(p)
		m.pending = append(m.pending, p[:n]...)
		m.err = err
		// Move bytes from pending to out, except an end that may be the beginning of a text.
		end := len(m.pending)
		if m.err == nil {
			end -= len(m.texts[0]) - 1
		}
		next := make([]int, len(m.texts)) // the next position of each text, from position on; -1 without one
		position := 0
		for i := range next {
			next[i] = indexFrom(m.pending, m.texts[i], 0)
		}
		for position < end {
			first := -1
			for i, text := range m.texts {
				if next[i] >= 0 && next[i] < position {
					next[i] = indexFrom(m.pending, text, position)
				}
				if next[i] >= 0 && (first < 0 || next[i] < next[first]) {
					first = i
				}
			}
			if first < 0 || next[first] >= end {
				m.out = append(m.out, m.pending[position:end]...)
				position = end
				break
			}
			m.out = append(append(m.out, m.pending[position:next[first]]...), hidden...)
			position = next[first] + len(m.texts[first])
		}
		if position > 0 {
			m.pending = append(m.pending[:0], m.pending[position:]...)
		}
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

func indexFrom(content, text []byte, start int) int {
	if i := bytes.Index(content[start:], text); i >= 0 {
		return start + i
	}
	return -1
}

func (m *maskingReader) Close() error { return m.inner.Close() }
