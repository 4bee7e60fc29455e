package capabilities

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// UndeclaredField is a field of records for which the metadata have no property.
type UndeclaredField struct {
	Type string // qualified name of the entity type or complex type
	Name string
	Rows int // rows with a value in the call that found the field first. Zero means that it was looked up before.
}

// String returns the field with its number of rows, for messages.
func (f *UndeclaredField) String() string {
	return f.Type + "/" + f.Name + " (rows: " + strconv.Itoa(f.Rows) + ")"
}

// isNamed reports whether the field has these names.
func (f *UndeclaredField) isNamed(typeName, name string) bool {
	return f.Type == typeName && f.Name == name
}

const (
	// maxUndeclared bounds the fields that are looked up when they occur first. Maps with data as keys have more.
	maxUndeclared = 100
	// maxFieldName is the maximum length of a SimpleIdentifier (CSDL 2.0): a longer name cannot become a property.
	maxFieldName = 480
)

// AddUndeclared records a field of a row. needsMetadata reports whether the metadata must be read again before the
// field counts as undeclared: when the field occurs first, and later if the metadata are older than a minute.
func (s *State) AddUndeclared(typeName, name string) (needsMetadata bool) {
	index := slices.IndexFunc(s.Undeclared, func(f UndeclaredField) bool { return f.isNamed(typeName, name) })
	switch {
	case len(name) > maxFieldName:
		return false
	case index >= 0 && s.Undeclared[index].Rows > 0:
		s.Undeclared[index].Rows++
		return true
	case index < 0 && len(s.Undeclared) < maxUndeclared:
		s.Undeclared = append(s.Undeclared, UndeclaredField{Type: strings.Clone(typeName), Name: strings.Clone(name),
			Rows: 1})
		return true
	}
	return !s.IsFresh
}

// StaleError returns the error that makes the host open the plugin again. Its detail is what the state has learned,
// which [State.Restore] reads.
func (s *State) StaleError(message string) *wit.Error {
	encoded := base64.StdEncoding.EncodeToString(s.appendLearned(nil))
	var detail strings.Builder
	for len(encoded) > maxDetailLine {
		detail.WriteString(encoded[:maxDetailLine] + "\n")
		encoded = encoded[maxDetailLine:]
	}
	detail.WriteString(encoded)
	return &wit.Error{Kind: wit.ErrorStale, Detail: wit.Ptr(detail.String()), Message: message}
}

const maxDetailLine = 1900 // the host shortens longer lines

// Restore sets what an earlier state of the connector had learned, and that the metadata are fresh. It returns the
// fields that the metadata still do not declare and that were not looked up before.
func (s *State) Restore(detail []byte, isDeclared func(field UndeclaredField) bool) (undeclared []UndeclaredField) {
	content, err := base64.StdEncoding.DecodeString(string(detail))
	reader := pack.NewReader(content)
	previous := readLearned(reader)
	if err != nil || !reader.Done() || !previous.fits(s.Connector) {
		return nil
	}
	s.learned = previous
	s.IsFresh = true
	s.Undeclared = slices.DeleteFunc(s.Undeclared, isDeclared)
	for i := range s.Undeclared {
		if field := &s.Undeclared[i]; field.Rows > 0 {
			undeclared = append(undeclared, *field)
			field.Rows = 0
		}
	}
	return undeclared
}
