package offset

import (
	"encoding/binary"
	"fmt"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

const maxStandaloneBytes = 64 << 20

// StandaloneEntry is an offset of a standalone worker; key and value are as in the offsets topic.
type StandaloneEntry struct {
	Key        []byte
	Value      []byte
	ByteOffset int
}

// ReadStandalone reads the offsets file of a standalone worker of Kafka Connect (offset.storage.file.filename), up to
// [maxStandaloneBytes]. The order of entries has no meaning.
func ReadStandalone(path string) ([]StandaloneEntry, error) {
	file, err := wholefile.Read(path, maxStandaloneBytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	entries, err := parseStandalone(file)
	if err != nil {
		return nil, fmt.Errorf("%s: expected the offsets of a standalone worker: %w", path, err)
	}
	return entries, nil
}

// See chapter 6 of the Java Object Serialization Specification.
const (
	javaStream = "\xac\xed\x00\x05" // STREAM_MAGIC, STREAM_VERSION
	javaObject = "sr"               // TC_OBJECT, TC_CLASSDESC
	javaArray  = 'u'                // TC_ARRAY
	javaNull   = 'p'                // TC_NULL

	// The map's class after its name: serialVersionUID, flags, two fields, no annotation, no superclass.
	javaMapClass  = "\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02F\x00\x0aloadFactorI\x00\x09thresholdxp"
	javaMapFields = 8 // bytes of the values of the two fields
	javaMapBlock  = "w\x08"
	javaMapEnd    = "x" // TC_ENDBLOCKDATA

	// The class of the arrays. After the first array it is referenced by handle 2 (0 is the map's class, 1 the map).
	javaBytesClass      = "r\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00xp"
	javaBytesClassAgain = "q\x00\x7e\x00\x02"
)

// parseStandalone accepts only a java.util.HashMap of byte arrays, as FileOffsetBackingStore writes it.
func parseStandalone(file []byte) ([]StandaloneEntry, error) {
	r := javaReader{file: file}
	if err := r.expect(javaStream, "Java's serialization"); err != nil {
		return nil, err
	}
	if err := r.expect(javaObject, "an object"); err != nil {
		return nil, err
	}
	if err := r.class("java.util.HashMap"); err != nil {
		return nil, err
	}
	if err := r.expect(javaMapClass, "the fields of java.util.HashMap"); err != nil {
		return nil, err
	}
	if _, err := r.read(javaMapFields, "their values"); err != nil {
		return nil, err
	}
	if err := r.expect(javaMapBlock, "the size of the map"); err != nil {
		return nil, err
	}
	if _, err := r.number("the buckets of the map"); err != nil {
		return nil, err
	}
	size, err := r.number("the size of the map")
	if err != nil {
		return nil, err
	}
	var entries []StandaloneEntry
	for range size { // each consumes bytes
		e := StandaloneEntry{ByteOffset: r.pos}
		if e.Key, err = r.bytes("a key"); err != nil {
			return nil, err
		}
		if e.Key == nil {
			return nil, fmt.Errorf("byte %d: expected a key, found null", e.ByteOffset)
		}
		if e.Value, err = r.bytes("a value"); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := r.expect(javaMapEnd, fmt.Sprintf("the end of the map after %d entries", size)); err != nil {
		return nil, err
	}
	if r.pos < len(file) {
		return nil, fmt.Errorf("byte %d: expected the end of the file, found %d bytes more", r.pos, len(file)-r.pos)
	}
	return entries, nil
}

// javaReader reads a file. Its errors contain the byte offset, what was expected, and what was found.
type javaReader struct {
	file        []byte
	pos         int
	isClassRead bool // whether the class of the arrays was read
}

func (r *javaReader) read(n int, element string) ([]byte, error) {
	if remaining := len(r.file) - r.pos; n > remaining {
		return nil, fmt.Errorf("byte %d: expected %s in %d bytes, found the end after %d", r.pos, element, n, remaining)
	}
	b := r.file[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b, nil
}

func (r *javaReader) expect(want, element string) error {
	start := r.pos
	b, err := r.read(len(want), element)
	if err == nil && string(b) != want {
		err = fmt.Errorf("byte %d: expected %s (%x), found %x", start, element, want, b)
	}
	return err
}

func (r *javaReader) number(element string) (int, error) {
	start := r.pos
	b, err := r.read(4, element)
	if err != nil {
		return 0, err
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		return 0, fmt.Errorf("byte %d: expected %s, found %d", start, element, n)
	}
	return int(n), nil
}

func (r *javaReader) class(want string) error {
	start := r.pos
	length, err := r.read(2, "the name of a class")
	if err != nil {
		return err
	}
	name, err := r.read(int(binary.BigEndian.Uint16(length)), "the name of a class")
	if err == nil && string(name) != want {
		err = fmt.Errorf("byte %d: expected the class %s, found %.100q", start, want, name)
	}
	return err
}

func (r *javaReader) bytes(element string) ([]byte, error) {
	start := r.pos
	kind, err := r.read(1, element)
	switch {
	case err != nil:
		return nil, err
	case kind[0] == javaNull:
		return nil, nil
	case kind[0] != javaArray:
		return nil, fmt.Errorf("byte %d: expected %s of bytes (%x), found %x", start, element, javaArray, kind)
	}
	class := javaBytesClass
	if r.isClassRead {
		class = javaBytesClassAgain
	}
	if err := r.expect(class, element+" of bytes"); err != nil {
		return nil, err
	}
	r.isClassRead = true
	n, err := r.number("the length of " + element)
	if err != nil {
		return nil, err
	}
	return r.read(n, element)
}
