package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// A declaration of thousands of long templates: a file with unknown keys is checked in time that does not grow with their product.
func TestHostileDeclarationsAreCheckedInTime(t *testing.T) {
	component := wit.Component{Name: "c", Kind: wit.ComponentSource, Prefixes: []string{"mad."}}
	for i := range 4_000 {
		component.Settings = append(component.Settings, wit.SettingSpec{Name: fmt.Sprintf("mad.%s%d.{a}.{b}", strings.Repeat("n", 150), i), Kind: wit.KindText})
	}
	for i := range 99 {
		component.Prefixes = append(component.Prefixes, fmt.Sprintf("p%d{a}.{b}", i))
	}
	c := &Connector{}
	for i := range 500 {
		key := fmt.Sprintf("mad.%s%d.q", strings.Repeat("n", 140), i)
		c.Entries = append(c.Entries, Entry{Key: key, Value: "1", Raw: "1"})
	}
	done := make(chan Problems, 1)
	go func() { done <- Checker{}.Component(c, component) }()
	select {
	case problems := <-done:
		unknown := 0
		for _, p := range problems {
			if !p.Warning && strings.HasPrefix(p.Text, "unknown setting") {
				unknown++
			}
		}
		if unknown != len(c.Entries) {
			t.Errorf("expected %d unknown settings, found %d", len(c.Entries), unknown)
		}
	case <-time.After(time.Minute): // many times what it takes; without a bound it is an hour
		t.Fatal("it takes too long")
	}
}
