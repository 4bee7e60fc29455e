package chain

import (
	"strconv"

	"github.com/culvert-project/culvert/plugins/smt/catalog"
	"github.com/culvert-project/culvert/plugins/smt/fastpath"
	"github.com/culvert-project/culvert/plugins/smt/operation"
	"github.com/culvert-project/culvert/wit"
)

// compiledChain is what an engine makes of a context: the stages of a chain, or one predicate.
type compiledChain struct {
	stages []operation.Stage
	routes *fastpath.Routes
	test   operation.Predicate // set for a context of one predicate, see [Engine.Test]
}

// newChain compiles stages. Apply with a predicate passes rows through.
func newChain(list []wit.Stage) (*compiledChain, *wit.Error) {
	chain := &compiledChain{routes: fastpath.NewRoutes(nil)}
	if len(list) == 1 {
		if test, ok, err := catalog.NewPredicate(list[0].Component, list[0].Settings); ok {
			chain.test = test
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
