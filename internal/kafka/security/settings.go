package security

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// settings reads the security properties of one kind of client.
type settings struct {
	ctx        context.Context
	properties map[string]clientconfig.Value
	prefix     string // prefix precedes the names of missing properties in errors.
	live       *CurrentValues
}

func (s settings) text(name string) string { return s.properties[name].Value }

// has reports whether a property is set, even to "".
func (s settings) has(name string) bool { _, ok := s.properties[name]; return ok }

// fullName returns the name of a property as the user specified it.
func (s settings) fullName(name string) string {
	if value, ok := s.properties[name]; ok {
		return value.Name
	}
	return s.prefix + name
}

// current returns the current value, which may come from a changed file.
func (s settings) current(name string) string {
	original := s.properties[name]
	if value, ok := s.live.value(original.Name); ok {
		return strings.TrimSpace(value)
	}
	return original.Value
}

func (s settings) problem(name, format string, args ...any) error {
	return setting.Problem{Setting: s.fullName(name), Text: fmt.Sprintf(format, args...)}
}

func (s settings) milliseconds(name string) time.Duration {
	n, _ := setting.ParseInt(wit.KindInt, s.text(name))
	return time.Duration(n) * time.Millisecond
}
