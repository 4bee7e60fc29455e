package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/code"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// CheckResult is the result of [Check].
type CheckResult struct {
	// Info.Err is why the module was not loaded; there are no calls then.
	Info        Info
	MemoryBytes int64 // the initial memory of an instance
	Limits      Limits
	Metered     meter.Report // zero if the meter rejects the module
	Calls       []Call
	Findings    []Finding
}

// Refused reports whether a finding prevents the module from being used.
func (c *CheckResult) Refused() bool {
	return slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Refused })
}

// Call is a call that [Check] made.
type Call struct {
	// Function is the contract's name, such as source.plan. Subject is the component or command, "" for none.
	Function string
	Subject  string
	Answer   string // `answered`, a fault, or `trap`
}

// Finding is a result of [Check]: a violation of the contract if it is Refused, else advice.
type Finding struct {
	Refused bool
	Where   string // a function or a component
	Text    string
}

func (f Finding) String() string { return f.Where + ": " + f.Text }

// CheckTime bounds [Check], compiling and all calls together.
const CheckTime = time.Minute

// Check loads a file as a worker does and calls every function without settings and service: describe must return the
// same twice, validate must respond for each component, and the others must return for empty lists and the context of
// open or prepare. The error is about reading the file; a refused module is a finding.
func Check(ctx context.Context, path string, options Options) (*CheckResult, error) {
	return check(ctx, path, options, CheckTime)
}

func check(ctx context.Context, path string, options Options, timeout time.Duration) (*CheckResult, error) {
	data, err := code.ReadModule(path)
	if err != nil {
		return nil, err
	}
	named, err := limitsOf(options.Limits, options.Settings)
	if err != nil {
		return nil, err
	}
	checked := &CheckResult{Info: Info{Path: path, Hash: code.HashOf(data), Size: len(data)}}
	run := checker{CheckResult: checked}
	var cancel context.CancelFunc
	run.ctx, cancel = context.WithTimeout(ctx, timeout) // compiling included
	defer cancel()
	options.Registry = cmp.Or(options.Registry, record.NewRegistry())
	options.Idle = 0
	options.MemoryBytes = 0 // no limit: nothing else uses memory
	l := loader{host: newHost(&options), limits: options.Limits.withDefaults(), namedLimits: named,
		compilation: &Compilation{}}
	l.compiler.Time = timeout // l.cache is nil, so that a module that was refused before is tried again
	if _, report, err := meter.Rewrite(run.ctx, binary.Normalize(data), code.Metering); err == nil {
		checked.Metered = report
	}
	mod, err := l.load(run.ctx, newCandidateFile(path, checked.Info.Hash, len(data)))
	if err == nil {
		defer mod.freeIfUnused()
	}
	if run.ctx.Err() != nil && ctx.Err() == nil && err != nil { // the check's own time is up
		err = fmt.Errorf("expected compiling and describe to take at most %v, the time for the whole check: %w",
			timeout, err)
	}
	if err != nil {
		checked.Info.Err = err
		run.refuse("load", "%v", err)
		return checked, ctx.Err()
	}
	run.module = mod
	run.describe()
	for _, component := range mod.info.Components {
		run.checkComponent(&component.Component)
	}
	run.callAll()
	if run.skipped > 0 && ctx.Err() == nil {
		run.refuse("all calls", "expected compiling and all calls to take at most %v together: "+
			"%d calls were made, the others were not tried", timeout, len(run.Calls))
	}
	run.Info = mod.snapshot()
	run.MemoryBytes = int64(mod.binary.MemoryPages) * binary.PageBytes
	run.Limits = mod.limits
	return checked, ctx.Err()
}

type checker struct {
	*CheckResult
	ctx     context.Context
	module  *module
	skipped int // calls that were not tried or not completed because the time is over
}

func (c *checker) refuse(where, format string, args ...any) {
	c.addFinding(Finding{Refused: true, Where: where, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) advise(where, format string, args ...any) {
	c.addFinding(Finding{Where: where, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) addFinding(f Finding) {
	if !slices.Contains(c.Findings, f) {
		c.Findings = append(c.Findings, f)
	}
}

// errorOf returns the error of a call whose result is not needed.
func errorOf[T any](_ T, err error) error { return err }

// try runs call with a new instance and records its answer, or counts it as skipped if the time is over. A panic is
// advice, other traps are refused.
func (c *checker) try(function, subject string, call func(*Instance) error) {
	if c.ctx.Err() != nil {
		c.skipped++
		return
	}
	instance, err := c.module.newInstance(c.ctx, newBucket(c.module.limits.LogLinesPerSecond), nil)
	if err == nil {
		defer instance.close()
		err = call(instance)
	}
	answer := "answered"
	switch failure, ok := errors.AsType[*wit.Error](err); {
	case err == nil: // answered
	case ok:
		answer = "fault: " + failure.Error()
	case c.ctx.Err() != nil && errors.Is(err, c.ctx.Err()):
		c.skipped++
		return
	default:
		answer = "trap"
		// A panic may be due to the empty arguments.
		trap, _ := errors.AsType[*Trap](err)
		isPanic := trap != nil && strings.Contains(trap.Output, "panic: ")
		message := err.Error()
		if isPanic {
			message, _, _ = strings.Cut(message, "\n")
		}
		where := strings.TrimSpace(function + " " + subject)
		c.addFinding(Finding{Refused: !isPanic, Where: where, Text: message})
	}
	c.Calls = append(c.Calls, Call{Function: function, Subject: subject, Answer: answer})
}

// describe calls twice on one instance; the description at loading is from another one.
func (c *checker) describe() {
	c.try("plugin.describe", "", func(i *Instance) error {
		for range 2 {
			description, err := i.Describe(c.ctx)
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(description, c.module.info.Description()) {
				c.refuse("plugin.describe", "expected the same result each time, found two")
				break
			}
		}
		return nil
	})
	c.checkPrintable("plugin.describe", "name", c.module.info.Name)
	c.checkPrintable("plugin.describe", "version", c.module.info.Version)
	c.checkPrintable("plugin.describe", "documentation", c.module.info.Documentation)
	if len(c.module.info.Components) == 0 && !c.module.info.Has(wit.InterfaceTools) {
		c.advise("plugin.describe", "expected components or commands, found none")
	}
}

func (c *checker) checkPrintable(where, subject, text string) {
	// shown.Line replaces line ends and tabs, too, which are no problem.
	if shown.Line(text) != strings.NewReplacer("\n", " ", "\t", " ").Replace(text) {
		c.advise(where, "the %s contains control characters or other invisible ones, or is "+
			"longer than %d characters: it is shown without them", subject, shown.MaxLine)
	}
}

func (c *checker) checkTexts(where string, key *wit.ConfigKey) {
	quoted := inQuotes(key.Name)
	c.checkPrintable(where, "documentation of "+quoted, key.Documentation)
	if key.DefaultValue != nil {
		c.checkPrintable(where, "default of "+quoted, *key.DefaultValue)
		// A secret's default may be a placeholder: it is never shown.
		if problem := (setting.Check{AllowEmpty: true}).Value(key, *key.DefaultValue); problem != "" &&
			*key.DefaultValue != "" && key.Kind != wit.KindPassword {
			c.refuse(where, "the default of %s is not a valid value: %s", quoted, problem)
		}
	}
	for _, rule := range key.Rules {
		for field, s := range map[string]*string{
			"alias":        rule.Alias,
			"group":        rule.Group,
			"display name": rule.DisplayName,
			"role":         rule.Role,
		} {
			if s != nil {
				c.checkPrintable(where, field+" of "+quoted, *s)
			}
		}
		if rule.Allowed != nil {
			for _, value := range *rule.Allowed {
				c.checkPrintable(where, "allowed value of "+quoted, value)
			}
		}
	}
}

func inQuotes(s string) string { return fmt.Sprintf("%.100q", s) }

func (c *checker) checkComponent(component *wit.Component) {
	where := component.Kind.String() + " " + component.Name
	if component.Documentation == "" {
		c.advise(where, "has no documentation")
	}
	c.checkPrintable(where, "name", component.Name)
	c.checkPrintable(where, "documentation", component.Documentation)
	for _, alias := range component.Aliases {
		c.checkPrintable(where, "alias "+inQuotes(alias), alias)
	}
	for _, prefix := range component.Prefixes {
		c.checkPrintable(where, "prefix "+inQuotes(prefix), prefix)
	}
	seen := map[string]bool{}
	for n := range component.Settings {
		key := &component.Settings[n]
		c.checkPrintable(where, "name of a setting", key.Name)
		c.checkTexts(where, key)
		if key.Name == "" || seen[key.Name] {
			c.refuse(where, "expected unique setting names that are not empty, found %q", key.Name)
		}
		seen[key.Name] = true
		for _, rule := range key.Rules {
			if rule.Pattern == nil {
				continue
			}
			if _, err := regexp.Compile(*rule.Pattern); err != nil {
				c.refuse(where, "setting %s: expected an RE2 pattern: %v", key.Name, err)
			}
		}
	}
	for _, f := range role.Check(component) {
		c.addFinding(Finding{Refused: f.Fatal || f.Invalid, Where: where, Text: fmt.Sprint(f)})
	}
	c.try("plugin.validate", where, func(i *Instance) error {
		validation, err := i.Validate(c.ctx, component.Name, nil, false, nil, nil)
		switch failure, ok := errors.AsType[*wit.Error](err); {
		case ok:
			c.advise(where, "validate without settings returns an error: %v; expected errors of the settings", failure)
			return err
		case err != nil:
			return err
		case validation.Pending != nil:
			c.refuse(where, "validate requests documents although it is offline")
		default:
			isAnswered := map[string]bool{}
			for _, value := range *validation.Done {
				isAnswered[value.Key.Name] = true
			}
			for _, key := range component.Settings {
				if !strings.Contains(key.Name, "{") && !isAnswered[key.Name] { // a template has no value of its own
					c.advise(where, "validate returns nothing for the setting %s", key.Name)
				}
			}
		}
		return nil
	})
}

func (c *checker) callAll() {
	for _, i := range c.module.info.Interfaces {
		switch i {
		case wit.InterfaceTools:
			c.callTools()
		case wit.InterfaceSource:
			c.callSource()
		case wit.InterfaceNotifications:
			c.try("notifications.handle-notification", "", func(i *Instance) error {
				return errorOf(i.HandleNotification(c.ctx, nil, wit.Notification{Method: "GET"}))
			})
			c.try("notifications.subscribe", "", func(i *Instance) error {
				return errorOf(i.Subscribe(c.ctx, nil, 0, "", nil, nil))
			})
		case wit.InterfaceRetirement:
			c.tryEach(wit.ComponentSource, "retirement.retire", func(i *Instance, component string) error {
				return errorOf(i.Retire(c.ctx, component, nil, nil, nil, nil))
			})
		case wit.InterfaceProgress:
			c.try("progress.progress", "", func(i *Instance) error { return errorOf(i.Progress(c.ctx, nil, 0, nil)) })
			c.try("progress.keys", "", func(i *Instance) error { return errorOf(i.Keys(c.ctx, nil, 0, nil)) })
			c.try("progress.compared", "", func(i *Instance) error {
				return errorOf(i.Compared(c.ctx, nil, 0, nil, nil))
			})
		case wit.InterfaceSink:
			c.callSink()
		case wit.InterfaceTransform:
			c.callTransform()
		}
	}
}

// tryEach tries a function with each component of a kind.
func (c *checker) tryEach(kind wit.ComponentKind, function string, f func(i *Instance, component string) error) {
	for _, component := range c.module.info.Components {
		if component.Kind == kind {
			c.try(function, component.Name, func(i *Instance) error { return f(i, component.Name) })
		}
	}
}

func (c *checker) emptyBatch() *record.Batch {
	return &record.Batch{Registry: c.module.host.registry, Topics: []string{"t"}}
}

func (c *checker) callTools() {
	var commands []wit.Command
	c.try("tools.commands", "", func(i *Instance) (err error) {
		if commands, err = i.Commands(c.ctx); err == nil {
			if refused := CheckCommands(commands); refused != nil { // another result than at loading
				c.refuse("tools.commands", "%v", refused)
			}
		}
		return err
	})
	for n := range commands {
		command := &commands[n]
		where := "command " + command.Name
		c.checkPrintable(where, "usage", command.Usage)
		for o := range command.Options {
			c.checkTexts(where, &command.Options[o])
		}
		c.try("tools.run", command.Name, func(i *Instance) error {
			return errorOf(i.Run(c.ctx, command.Name, nil, nil, nil, nil))
		})
	}
}

func (c *checker) callSource() {
	c.tryEach(wit.ComponentSource, "source.plan", func(i *Instance, component string) error {
		return errorOf(i.Plan(c.ctx, component, nil, 1))
	})
	var opened []byte
	c.tryEach(wit.ComponentSource, "source.open", func(i *Instance, component string) error {
		opening, err := i.OpenSource(c.ctx, component, nil, nil, nil)
		if opening.Ready != nil {
			opened = opening.Ready.Context
		}
		return err
	})
	c.try("source.next", "", func(i *Instance) error {
		return errorOf(i.Next(c.ctx, opened, 0, nil, wit.PollReason{Start: wit.Set}, 0))
	})
	// Without a page, decode and abandon are called with number 0, which the plugin must reject.
	begin := func(i *Instance) (uint32, error) {
		return i.Begin(c.ctx, opened, 0, &[]wit.OffsetEntry{}, wit.Response{Status: 200})
	}
	c.try("source.begin", "", func(i *Instance) error { return errorOf(begin(i)) })
	c.try("source.decode", "", func(i *Instance) error {
		page, _ := begin(i)
		return errorOf(i.Decode(c.ctx, page, "", 200, nil, true, c.emptyBatch()))
	})
	c.try("source.abandon", "", func(i *Instance) error {
		page, _ := begin(i)
		return i.Abandon(c.ctx, page)
	})
	c.try("source.check-offset", "", func(i *Instance) error { return i.CheckOffset(c.ctx, nil, nil) })
}

func (c *checker) callSink() {
	var opened []byte
	c.tryEach(wit.ComponentSink, "sink.open", func(i *Instance, component string) error {
		opening, err := i.OpenSink(c.ctx, component, nil, nil, nil)
		if opening.Ready != nil {
			opened = opening.Ready.Context
		}
		return err
	})
	c.try("sink.encode", "", func(i *Instance) error {
		return errorOf(i.Encode(c.ctx, opened, c.emptyBatch(), record.RecordIDs{}, nil))
	})
	c.try("sink.handle-response", "", func(i *Instance) error {
		return errorOf(i.HandleResponse(c.ctx, opened, nil, nil, wit.Response{Status: 200}))
	})
}

func (c *checker) callTransform() {
	var prepared []byte
	c.try("transform.prepare", "", func(i *Instance) (err error) { prepared, err = i.Prepare(c.ctx, nil); return err })
	c.try("transform.apply", "", func(i *Instance) error {
		_, _, err := i.applyChunk(c.ctx, prepared, c.emptyBatch(), 0)
		return err
	})
	hasPredicates := slices.ContainsFunc(c.module.info.Components,
		func(component *Component) bool { return component.Kind == wit.ComponentPredicate })
	c.try("transform.test", "", func(i *Instance) error {
		_, _, err := i.Test(c.ctx, prepared, c.emptyBatch())
		if !hasPredicates && isA[*wit.Error](err) {
			return nil // it has no predicates, and returns an error
		}
		return err
	})
}
