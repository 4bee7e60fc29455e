package console

import (
	"net/url"
	"slices"

	"github.com/culvert-project/culvert/internal/rest"
)

type pluginsPage struct {
	Modules []rest.Module
	// Group is nil without a group or a leader.
	Group *rest.Group
}

func (v *pageRequest) plugins() (any, error) {
	var p pluginsPage
	if err := v.get("GET /culvert/plugins", &p.Modules); err != nil {
		return nil, err
	}
	var g rest.Group
	if err := v.get("GET /culvert/cluster", &g); err == nil {
		p.Group = &g
	}
	return p, nil
}

func (v *pageRequest) origins() (any, error) {
	var o rest.Origins
	_, err := v.getOfGroup("GET /culvert/origins", url.Values{}, &o)
	return o, err
}

type logPage struct {
	Level, Logger, Connector, Worker string
	rest.LogPage
}

func (logPage) Levels() []string { return []string{"INFO", "WARN", "ERROR", "DEBUG", "TRACE"} }

func (v *pageRequest) log() (any, error) {
	l := logPage{Level: v.query.Get("level"), Logger: v.query.Get("logger"), Connector: v.query.Get("connector"),
		Worker: v.query.Get("worker")}
	err := v.get("GET /culvert/log?"+pairs("level", l.Level, "logger", l.Logger, "connector", l.Connector, "worker",
		l.Worker).Encode(), &l.LogPage)
	slices.Reverse(l.Lines)
	return l, err
}
