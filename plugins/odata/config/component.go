package config

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// Component is a connector class. Each class is for services of one dialect.
type Component struct {
	Class   string
	Alias   string // short name of the class
	Dialect *edm.Dialect
	Table   *setting.Table // declares the settings
}

// Values returns a reader of settings.
func (c *Component) Values(settings []wit.Setting) setting.Values { return c.Table.Values(settings) }

func (c *Component) component() *Component { return c }

// embedsComponent is a class of the source or the sink, whose type embeds [Component].
type embedsComponent interface{ component() *Component }

// FindComponent returns the class with this name or alias.
func FindComponent[C embedsComponent](classes []C, name string) (class C, err error) {
	var names []string
	for _, candidate := range classes {
		c := candidate.component()
		if name == c.Class || name == c.Alias {
			return candidate, nil
		}
		names = append(names, c.Class)
	}
	return class, &wit.Error{Kind: wit.ErrorConfig, Message: "unknown component " + name + ", expected " +
		strings.Join(names, " or ")}
}

// ConfiguredComponent returns the class of a connector's settings, for commands, which are not passed a component. It
// is the first class unless connector.class names another one.
func ConfiguredComponent[C embedsComponent](classes []C, settings []wit.Setting) C {
	for _, s := range settings {
		if s.Name != "connector.class" {
			continue
		}
		if class, err := FindComponent(classes, s.Value); err == nil {
			return class
		}
	}
	return classes[0]
}
