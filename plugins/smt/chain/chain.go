package chain

import (
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// transformationChain is the stages of a context.
type transformationChain struct {
	stages []transformationStage
	// routes are those of the topics that came by.
	routes map[string]*route
	// test is set when the chain is one predicate, for the contract's test.
	test condition
}

// newChain makes the stages that prepare was given.
func newChain(list []wit.Stage) (*transformationChain, *wit.Fault) {
	c := &transformationChain{routes: map[string]*route{}}
	if len(list) == 1 {
		if k := componentOf(list[0].Component); k != nil && k.kind == wit.ComponentPredicate {
			test, err := k.predicate(settings{list[0].Settings})
			c.test = test
			return c, err
		}
	}
	for i := range list {
		operation, condition, err := newStage(&list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		given := list[i].Condition
		c.stages = append(c.stages, transformationStage{number: i, operation: operation, condition: condition,
			negate: given != nil && given.Negate})
	}
	return c, nil
}

func newStage(of *wit.Stage) (operation, condition, *wit.Fault) {
	k := componentOf(of.Component)
	if k == nil || k.transform == nil {
		return nil, nil, fail("", "expected a transform of this plugin")
	}
	made, err := k.transform(settings{of.Settings})
	if err != nil || of.Condition == nil {
		return made, nil, err
	}
	k = componentOf(of.Condition.Component)
	if k == nil || k.predicate == nil {
		return nil, nil, fail("", "expected a predicate of this plugin as the condition, found "+
			strconv.Quote(of.Condition.Component))
	}
	when, err := k.predicate(settings{of.Condition.Settings})
	return made, when, err
}

// route returns the topic's route. The name may lie in memory that is used again.
func (c *transformationChain) route(topic string) *route {
	r := c.routes[topic]
	if r == nil {
		topic = strings.Clone(topic)
		r = &route{topic: topic}
		for i := range c.stages {
			if r.slow = r.slow || !r.add(&c.stages[i], i == len(c.stages)-1); r.slow {
				break
			}
		}
		if len(c.routes) >= maxCached {
			clear(c.routes)
		}
		c.routes[topic] = r
	}
	return r
}
