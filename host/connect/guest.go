package connect

import (
	"context"
	"strings"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/wit"
)

// guestOf decides what a version of a plugin may see of the settings of its component. What comes with the program goes by its own
// declarations: a file in the folder can't take a setting away from it by calling that a password.
func guestOf(m *plugin.Manager, info plugin.Info, own wit.Component) config.Guest {
	if c := component(&info, own.Kind, own.Name); c != nil {
		own = *c
	}
	g := config.Guest{Own: config.DeclareComponent(own), BuiltIn: info.BuiltIn, Reveal: m.Revealed(info.Name)}
	g.Others = declarations(m, info)
	return g
}

// declarations are those of all components that are loaded, as far as they say for a plugin what is a secret.
func declarations(m *plugin.Manager, of plugin.Info) (all []*config.Declarations) {
	for _, info := range m.Modules() {
		if of.BuiltIn && !info.BuiltIn {
			continue
		}
		for _, c := range info.Components {
			all = append(all, config.DeclareComponent(c))
		}
	}
	return all
}

// planned are the settings of a task as a version of the plugin may see them.
func (t *task) planned(info plugin.Info) []wit.Setting {
	c := t.connector
	g := guestOf(c.o.Plugins, info, c.component)
	c.tell(info, &g, c.config)
	return g.Planned(c.config, t.settings)
}

// tell says once for each version which settings it does not see.
func (c *connector) tell(info plugin.Info, g *config.Guest, settings *config.Connector) {
	withheld := g.Withheld(settings)
	if len(withheld) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := info.Hash + strings.Join(withheld, ",")
	if c.told[key] {
		return
	}
	if c.told == nil {
		c.told = map[string]bool{}
	}
	c.told[key] = true
	c.log.Warn("values from files are not shown to a plugin of a folder: where they are no secrets, the setting reveal in the worker's settings lets it see them",
		"plugin", info.Name, "version", info.Version, "file", info.Origin, "settings", withheld, "reveal", "plugin."+info.Name+".reveal")
}

// sourceReader and sinkWriter call instances that open with what their version may see.
type sourceReader struct {
	*plugin.Reader
	code sourceCode
}

func (r sourceReader) OpenSource(ctx context.Context, component string, _ []wit.Setting, state []byte, answers []wit.Response) (wit.SourceOpening, error) {
	return r.Reader.OpenSource(ctx, component, r.code.task.planned(r.code.pool.Module()), state, answers)
}

type sinkWriter struct {
	*plugin.Instance
	code sinkCode
}

func (w sinkWriter) OpenSink(ctx context.Context, component string, _ []wit.Setting, state []byte, answers []wit.Response) (wit.SinkOpening, error) {
	return w.Instance.OpenSink(ctx, component, w.code.task.planned(w.code.pool.Module()), state, answers)
}
