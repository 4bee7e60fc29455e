package plugin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/record"
	"github.com/culvert-project/culvert/wit"
)

// Finding is something that [Check] noticed. A refused one keeps the module from being used, or breaks the contract; others are
// advice.
type Finding struct {
	Refused bool
	// Where is a function or a component, Text what was expected and found there.
	Where, Text string
}

func (f Finding) String() string { return f.Where + ": " + f.Text }

// Check loads a file as a host would and tries what must work without settings or a service: describe gives the same answer twice,
// validate answers for each component, empty lists are taken by every function that takes lists. The error is about reading the
// file; a refused module is a finding.
func Check(ctx context.Context, path string, o Options) (Info, []Finding, error) {
	data, err := readModule(path)
	if err != nil {
		return Info{}, nil, err
	}
	named, err := limitsOf(o.Limits, o.Settings)
	if err != nil {
		return Info{}, nil, err
	}
	l := loader{cache: wazero.NewCompilationCache(), dir: o.CacheDir, limits: o.Limits.filled(), named: named, registry: o.Registry, logger: o.logger()}
	if o.CacheDir != "" {
		if l.cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir); err != nil {
			return Info{}, nil, fmt.Errorf("compile cache %s: %w", o.CacheDir, err)
		}
	}
	if l.registry == nil {
		l.registry = record.NewRegistry()
	}
	m, err := l.load(ctx, fileArrival(path, hashOf(data), data))
	if err != nil {
		return Info{Origin: path, Hash: hashOf(data), Size: len(data), Err: err}, []Finding{{true, "load", err.Error()}}, nil
	}
	defer m.rest()
	c := checker{ctx: ctx, module: m}
	c.describe()
	for n := range m.info.Components {
		c.component(&m.info.Components[n])
	}
	c.empty()
	return m.snapshot(), c.findings, ctx.Err()
}

type checker struct {
	ctx      context.Context
	module   *module
	findings []Finding
}

func (c *checker) find(refused bool, where, format string, args ...any) {
	c.findings = append(c.findings, Finding{refused, where, fmt.Sprintf(format, args...)})
}

// try calls f with a fresh instance. Faults are answers; anything else is refused.
func (c *checker) try(where string, f func(*Instance) error) {
	i, err := c.module.instantiate(c.ctx, "", newBucket(c.module.limits.LogLinesPerSecond))
	if err == nil {
		defer i.close()
		err = f(i)
	}
	var fault *wit.Fault
	if err != nil && !errors.As(err, &fault) && c.ctx.Err() == nil {
		c.find(true, where, "%v", err)
	}
}

// describe asks twice on one instance; the answer at loading came from another.
func (c *checker) describe() {
	c.try("describe", func(i *Instance) error {
		for range 2 {
			d, err := i.Describe(c.ctx)
			if err != nil {
				return err
			}
			m := c.module.info
			if !reflect.DeepEqual(d, wit.Description{Name: m.Name, Version: m.Version, Documentation: m.Documentation, Components: m.Components}) {
				c.find(true, "describe", "expected the same answer each time, found two")
				break
			}
		}
		return nil
	})
	if len(c.module.info.Components) == 0 && !c.module.info.Has(wit.InterfaceTools) {
		c.find(false, "describe", "expected components or commands, found none")
	}
}

// component checks the declarations, and validate with nothing set.
func (c *checker) component(x *wit.Component) {
	where := x.Kind.String() + " " + x.Name
	if x.Documentation == "" {
		c.find(false, where, "has no documentation")
	}
	seen := map[string]bool{}
	for n := range x.Settings {
		s := &x.Settings[n]
		if s.Name == "" || seen[s.Name] {
			c.find(true, where, "expected setting names that are not empty and stand once, found %q", s.Name)
		}
		seen[s.Name] = true
		for _, r := range s.Rules {
			if r.Pattern == nil {
				continue
			}
			if _, err := regexp.Compile(*r.Pattern); err != nil {
				c.find(true, where, "setting %s: expected a pattern of RE2: %v", s.Name, err)
			}
		}
	}
	c.try(where, func(i *Instance) error {
		inquiry, err := i.Validate(c.ctx, x.Name, nil, false, nil, nil)
		var fault *wit.Fault
		switch {
		case errors.As(err, &fault):
			c.find(false, where, "validate with nothing set is a fault: %v; expected errors beside the settings", fault)
		case err != nil:
			return err
		case inquiry.Ask != nil:
			c.find(true, where, "validate asks for documents although it is offline")
		default:
			c.examined(where, x, *inquiry.Done)
		}
		return nil
	})
}

func (c *checker) examined(where string, x *wit.Component, done []wit.Examined) {
	answered := map[string]bool{}
	for _, e := range done {
		answered[e.Spec.Name] = true
	}
	for _, s := range x.Settings {
		if !strings.Contains(s.Name, "{") && !answered[s.Name] {
			c.find(false, where, "validate does not answer for the setting %s", s.Name)
		}
	}
}

// empty calls what takes lists with empty ones. Whether that is a fault or an answer is the plugin's business.
func (c *checker) empty() {
	info := &c.module.info
	if info.Has(wit.InterfaceTools) {
		c.try("commands", func(i *Instance) error { _, err := i.Commands(c.ctx); return err })
	}
	batch := &record.Batch{Registry: c.module.loader.registry}
	if info.Has(wit.InterfaceTransform) {
		c.try("prepare", func(i *Instance) error { _, err := i.Prepare(c.ctx, nil); return err })
		c.try("apply", func(i *Instance) error { _, _, err := i.applySome(c.ctx, nil, batch, 0); return err })
		c.try("test", func(i *Instance) error { _, _, err := i.Test(c.ctx, nil, batch); return err })
	}
	if info.Has(wit.InterfaceSource) {
		c.try("check-offset", func(i *Instance) error { return i.CheckOffset(c.ctx, nil, nil) })
		c.try("plan", func(i *Instance) error { _, err := i.Plan(c.ctx, "", nil, 1); return err })
	}
	if info.Has(wit.InterfaceSink) {
		c.try("encode", func(i *Instance) error { _, err := i.Encode(c.ctx, nil, batch, nil); return err })
		c.try("settle", func(i *Instance) error {
			_, err := i.Settle(c.ctx, nil, nil, nil, wit.Response{Status: 200})
			return err
		})
	}
}
