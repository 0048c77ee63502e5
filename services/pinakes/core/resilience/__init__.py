# SPDX-License-Identifier: Apache-2.0
"""How the platform lives with what fails: deadlines, breakers and guarded calls."""
