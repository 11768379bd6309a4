// Package cli is the command line: it reads flags and settings, calls package app,
// prints for people or programs, and turns errors into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/order"

	"github.com/spf13/cobra"
)

// Exit codes, which programs rely on.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitBroken     = 4 // an invariant does not hold
	exitDependency = 5 // a server is down
)

// process is what a command may touch of the process it runs in.
type process struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer

	configFile string
	json       bool
}

// Run is main without the process, so that tests can call it.
func Run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &process{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(p) //nolint:contextcheck // the commands take ExecuteContext's from cobra
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if _, silent := errors.AsType[*silentError](err); !silent {
		fmt.Fprintln(stderr, "seckill:", err)
	}
	return exitCode(err)
}

func newRoot(p *process) *cobra.Command {
	root := &cobra.Command{
		Use:           "seckill",
		Short:         "A flash-sale order pipeline: nobody's order is lost, nothing is sold twice",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().StringVar(&p.configFile, "config", "", "settings file (YAML); SECKILL_* variables win over it")
	root.PersistentFlags().BoolVar(&p.json, "json", false, "output for programs")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		newDev(p), newAPI(p), newConsumer(p),
		newMigrate(p), newSale(p), newLimits(p), newInstances(p), newOrder(p), newEvents(p), newAudit(p), newAuditLog(p), newRebuild(p), newDeadLetters(p), newToken(p), newPay(p),
		newPreflight(p), newDoctor(p), newHealthcheck(p), newConfig(p), newVersion(p),
	)
	wrapArgs(root)
	return root
}

// wrapArgs makes wrong arguments of every command a usage error.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// usageError is a mistake in the command's words or settings.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// dependencyError is a server that cannot be asked.
type dependencyError struct {
	what string
	err  error
}

func (e *dependencyError) Error() string { return e.what + ": " + e.err.Error() }
func (e *dependencyError) Unwrap() error { return e.err }

// ofServer adds the server's name to an error of a call to it.
func ofServer(name string, err error) error {
	if _, bad := errors.AsType[*app.SettingError](err); bad || err == nil {
		return err
	}
	return &dependencyError{name, err}
}

// noSaleError is a sale that does not exist.
type noSaleError struct{ id int64 }

func (e *noSaleError) Error() string {
	return fmt.Sprintf("there is no sale %d; `seckill sale list` names them", e.id)
}
func (e *noSaleError) Unwrap() error { return order.ErrNotFound }

// silentError ends with a code and says nothing: the output has said it.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit %d", e.code) }

func exitCode(err error) int {
	var usage *usageError
	var setting *app.SettingError
	var down *dependencyError
	var away *admin.UnavailableError
	var silent *silentError
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage), errors.As(err, &setting):
		return exitUsage
	case errors.Is(err, order.ErrNotFound):
		return exitNotFound
	case errors.As(err, &down), errors.As(err, &away):
		return exitDependency
	default:
		return exitFailure
	}
}
