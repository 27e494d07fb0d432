package integration

import (
	"testing"

	"github.com/larder-go/larder/internal/behaviour"
)

func TestBehaviourOnSQLite(t *testing.T) { behaviour.Run(t, openSQLite) }
