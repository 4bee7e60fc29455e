package main

import (
	"strings"
	"testing"
)

func TestInitTakesDefaultsForEmptyValues(t *testing.T) {
	for _, c := range []struct {
		name, flag, value string
		connector, fault  string
	}{
		{"entity sets are blank", "--entity-set", " ", "", "--entity-set is needed"},
		{"entity sets are commas", "--entity-set", " , ", "", "--entity-set is needed"},
		{"the name is empty", "--name", "", "orders", ""},
		{"the name is given", "--name", "mine", "mine", ""},
		{"the port is 0", "--port", "0", "orders", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := newInit()
			args := []string{"--host", "h", "--service", "/s", "--entity-set", "Orders", c.flag, c.value}
			if c.flag == "--entity-set" {
				args = append(args[:4], c.flag, c.value)
			}
			if err := command.ParseFlags(args); err != nil {
				t.Fatal(err)
			}
			i := &initiation{yes: true, flags: command.Flags()}
			name := i.answers(t.Context())
			if c.fault != "" {
				if i.err == nil || !strings.HasPrefix(i.err.Error(), c.fault) {
					t.Errorf("expected %q, found %v", c.fault, i.err)
				}
				return
			}
			if i.err != nil || name != c.connector {
				t.Errorf("expected connector %q, found %q and %v", c.connector, name, i.err)
			}
			for _, e := range i.entries {
				if e.Key == "sap.odata.host.port" && e.Raw != "443" {
					t.Errorf("expected port 443, found %s", e.Raw)
				}
			}
		})
	}
}
