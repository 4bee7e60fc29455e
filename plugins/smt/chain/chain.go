package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/catalog"
	"github.com/culvert-project/culvert/plugins/smt/fastpath"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/wit"
)

// compiledChain is the compiled form of a context: the stages of a chain, or one predicate.
type compiledChain struct {
	stages    []operation.Stage
	routes    *fastpath.Routes
	predicate operation.Predicate // of a context of one predicate, otherwise nil; see [Engine.Test]
}

// newChain compiles stages, or one predicate, with which [Engine.Apply] passes rows through.
func newChain(list []wit.Stage) (*compiledChain, *wit.Error) {
	chain := &compiledChain{routes: fastpath.NewRoutes(nil)}
	if len(list) == 1 {
		if predicate, ok, err := catalog.NewPredicate(list[0].Component, list[0].Settings); ok {
			chain.predicate = predicate
			return chain, err
		}
	}
	for i := range list {
		stage, err := catalog.NewStage(i, &list[i])
		if err != nil {
			err.Message = "stage " + strconv.Itoa(i) + ", " + list[i].Component + ": " + err.Message
			return nil, err
		}
		chain.stages = append(chain.stages, stage)
	}
	chain.routes = fastpath.NewRoutes(chain.stages)
	return chain, nil
}
