// What the router answers, as far as these pages read it; /openapi.json has all of it.

/**
 * @typedef {"stopped" | "starting" | "ready" | "draining" | "stopping" | "parked" | "failed" | "incomplete" | "disabled"} State
 *
 * @typedef {object} MemoryUse
 * @property {number} gpu
 * @property {number | null} declared
 * @property {number | null} measured
 * @property {boolean} exceeds
 *
 * @typedef {object} Group
 * @property {string} name
 * @property {"never_together" | "always_together"} rule
 * @property {string[]} models
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {string[]} aliases
 * @property {State} state
 * @property {string} engine
 * @property {string[]} capabilities
 * @property {{input_modalities: string[], output_modalities: string[]}} architecture
 * @property {number | null} context_length
 * @property {string} reason
 * @property {number | null} since
 * @property {string} unit
 * @property {string} invocation
 * @property {string} status_text
 * @property {number | null} progress
 * @property {number[]} gpus
 * @property {Group[]} groups
 * @property {MemoryUse[]} memory
 * @property {string} memory_hint
 * @property {boolean} [parks]
 * @property {number} leases
 * @property {number} waiting
 * @property {boolean} pinned
 * @property {number | null} ttl
 * @property {number | null} load_seconds
 * @property {{code: string, message: string, hint: string} | null} failure
 * @property {string} configured_at
 *
 * @typedef {object} Gpu
 * @property {number} gpu
 * @property {"exclusive" | "pack"} policy
 * @property {{model: string, share: number, measured: number | null}[]} residents
 * @property {string | null} name
 * @property {number | null} total
 * @property {number | null} used
 * @property {number | null} utilization
 *
 * @typedef {object} Changed
 * @property {number} at
 * @property {string} model
 * @property {State} old
 * @property {State} new
 * @property {string} reason
 * @property {number | null} lasted
 *
 * @typedef {object} Overview
 * @property {Model[]} models
 * @property {Gpu[]} gpus
 * @property {{model: string, bytes: number}[]} parked
 * @property {string[]} queue
 * @property {Changed[]} changes
 *
 * @typedef {object} Timeline
 * @property {number} since
 * @property {number} until
 * @property {Changed[]} changes
 * @property {{model: string, begin: number, end: number, requests: number}[]} served
 *
 * @typedef {object} LiveRequest
 * @property {string} id
 * @property {string} model
 * @property {string} method
 * @property {string} path
 * @property {string} key
 * @property {string} phase
 * @property {number} age
 * @property {number | null} queued
 * @property {number | null} first
 * @property {number} sent
 *
 * @typedef {object} EndedRequest
 * @property {number} at
 * @property {string} id
 * @property {string} model
 * @property {string} method
 * @property {string} path
 * @property {string} key
 * @property {number} status
 * @property {string} reason
 * @property {number | null} queued
 * @property {number | null} loading
 * @property {number | null} first
 * @property {number} total
 * @property {number} received
 * @property {number} sent
 * @property {number | null} tokens_in
 * @property {number | null} tokens_out
 *
 * @typedef {object} Requests
 * @property {LiveRequest[]} running
 * @property {EndedRequest[]} ended
 */

export {};
