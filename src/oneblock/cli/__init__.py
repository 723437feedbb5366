"""The doors: one file for each verb, nothing but arguments in and a result out."""
