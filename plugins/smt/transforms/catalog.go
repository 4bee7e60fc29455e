package transforms

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/plugins/smt/record"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// components is in the order of the plugin's description. A class with perTarget is two components.
var components = func() (list []class) {
	for _, c := range classes {
		if c.perTarget == nil {
			list = append(list, c)
			continue
		}
		for target, suffix := range [...]string{record.Key: "$Key", record.Value: "$Value"} {
			list = append(list, class{name: c.name + suffix, keys: c.keys,
				doc:       strings.ReplaceAll(c.doc, "{target}", strings.ToLower(suffix[1:])),
				transform: func(s Settings) (Operation, *wit.Error) { return c.perTarget(record.Target(target), s) }})
		}
	}
	return list
}()

func (c *class) alias() string { return c.name[strings.LastIndexByte(c.name, '.')+1:] }

// findComponent returns the component with a name or alias, or nil.
func findComponent(name string) *class {
	for i := range components {
		if c := &components[i]; c.name == name || c.alias() == name {
			return c
		}
	}
	return nil
}

// Components describes all transforms and predicates.
func Components() []wit.Component {
	list := make([]wit.Component, len(components))
	for i := range components {
		c := &components[i]
		list[i] = wit.Component{Name: c.name, Kind: wit.ComponentTransformation, Aliases: []string{c.alias()},
			Documentation: c.doc, Settings: c.keys}
		if c.predicate != nil {
			list[i].Kind = wit.ComponentPredicate
		}
	}
	return list
}

// Validate checks a component's settings. Errors of single settings are in the values, others are returned.
func Validate(name string, values []wit.Setting) ([]wit.ConfigValue, *wit.Error) {
	c := findComponent(name)
	if c == nil {
		return nil, settingError("", "unknown component "+strconv.Quote(name))
	}
	table := setting.NewTable(c.keys...)
	table.Check.AllowEmpty = true // Kafka accepts empty values of required settings
	list := table.Validate(values)
	if setting.FirstError(list) != nil {
		return list, nil
	}
	if err := c.check(Settings(values)); err != nil {
		if err.Setting == nil {
			return nil, err
		}
		setting.AddError(list, *err.Setting, err.Message)
	}
	return list, nil
}

// check returns the error of creating the component.
func (c *class) check(values Settings) *wit.Error {
	var err *wit.Error
	if c.transform != nil {
		_, err = c.transform(values)
	} else {
		_, err = c.predicate(values)
	}
	return err
}

// NewStage creates the stage of a chain at the position number.
func NewStage(number int, stage *wit.Stage) (result Stage, err *wit.Error) {
	c := findComponent(stage.Component)
	if c == nil || c.transform == nil {
		return result, settingError("", "expected a transform of this plugin")
	}
	result.Number = number
	if result.Operation, err = c.transform(stage.Settings); err != nil || stage.Condition == nil {
		return result, err
	}
	predicate, ok, err := NewPredicate(stage.Condition.Component, stage.Condition.Settings)
	if !ok {
		return result, settingError("", "expected a predicate of this plugin as the condition, found "+
			strconv.Quote(stage.Condition.Component))
	}
	result.Predicate = predicate
	result.Negate = stage.Condition.Negate
	return result, err
}

// NewPredicate returns a predicate. ok is false if the component is not a predicate.
func NewPredicate(name string, values Settings) (result Predicate, ok bool, err *wit.Error) {
	c := findComponent(name)
	if c == nil || c.predicate == nil {
		return nil, false, nil
	}
	result, err = c.predicate(values)
	return result, true, err
}
