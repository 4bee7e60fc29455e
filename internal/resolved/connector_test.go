package resolved

import (
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/resolved/resolvedtest"
	"github.com/culvert-project/culvert/sdk/go/role"
)

// A configuration that is read again is the same if nothing has changed. Another value of a setting shares everything
// but the roles, and a setting that may select a plugin shares nothing.
func TestReread(t *testing.T) {
	const text = "connector.class=Shop\nshop.address=h\nshop.user=u\ntransforms=a\ntransforms.a.type=A\n"
	c := Resolver{}.ResolveAs(resolvedtest.Connector(t, text), resolvedtest.Shop())
	assert.True(t, c.Reread(resolvedtest.Connector(t, text)) == c, "expected the same connector for the same text")
	moved := c.Reread(resolvedtest.Connector(t, "# a comment\n"+text))
	assert.True(t, moved != c && moved.shape == c.shape, "expected another connector of the same shape")
	assert.Equal(t, c.Entries[0].Line+1, moved.Entries[0].Line, "line after the comment")
	changed := c.Reread(resolvedtest.Connector(t, "connector.class=Shop\nshop.address=h\nshop.user=v\n"+
		"transforms=a\ntransforms.a.type=A\n"))
	assert.True(t, changed.shape == c.shape, "expected another user to share the shape")
	assert.Equal(t, "u v", c.Roles().Text(role.User)+" "+changed.Roles().Text(role.User), "users")
	for _, line := range []string{"transforms.a.type=B\n", "transforms.a.type=A\nshop.client=1\n"} {
		other := c.Reread(resolvedtest.Connector(t, "connector.class=Shop\nshop.address=h\nshop.user=u\n"+
			"transforms=a\n"+line))
		assert.True(t, other.shape != c.shape, "expected another shape with %s", line)
	}
}

// Problems of transforms are at the lines of the text that was read last.
func TestRereadMovesProblems(t *testing.T) {
	const text = "connector.class=Shop\nshop.address=h\ntransforms=a\n"
	c := Resolver{}.ResolveAs(resolvedtest.Connector(t, text), resolvedtest.Shop())
	reread := c.Reread(resolvedtest.Connector(t, "# a comment\n"+text))
	assert.Equal(t, []int{3, 4}, []int{c.Stages.Problems[0].Line, reread.Stages.Problems[0].Line}, "lines")
}
